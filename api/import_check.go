package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"firescan/catalog"
)

// maxChecked is the maximum number of lines of one check: their readings are in one
// response.
const maxChecked = 1000

// checkedLine is what a line of an import would become.
type checkedLine struct {
	Line      int               `json:"line"`
	Kind      string            `json:"kind,omitempty"`
	ID        string            `json:"id,omitempty"`
	Locations []checkedLocation `json:"locations,omitempty"`
	// Error is why the line would be refused.
	Error string `json:"error,omitempty"`
}

type checkedLocation struct {
	Field    string    `json:"field"`
	Given    string    `json:"given"`
	Readings []reading `json:"readings"`
}

// reading is an object, or with Prefix all objects whose keys begin with Key.
type reading struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Prefix bool   `json:"prefix"`
}

// checkImport resolves the lines of an import and stores nothing.
func checkImport(c *call) error {
	body, err := importBody(c, http.NewResponseController(c.ResponseWriter))
	if err != nil {
		return err
	}
	m := newImporter(c)
	resolver, err := c.resolver()
	if err != nil {
		return err
	}
	lines, refused := []checkedLine{}, 0
	// Also of a body that was compressed.
	in := bufio.NewReaderSize(http.MaxBytesReader(c.ResponseWriter, io.NopCloser(body), c.route.bodyLimit()), 256<<10)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if len(bytes.TrimSpace(line)) > 0 || errors.Is(err, errLongLine) {
			if len(lines) == maxChecked {
				return invalidField("body", fmt.Sprintf("has more than %d lines: check them in parts", maxChecked))
			}
			checked := m.check(resolver, n, line, err)
			if checked.Error != "" {
				refused++
			}
			lines = append(lines, checked)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return m.cut(n, err)
		}
	}
	return c.respond(envelope{
		Message: fmt.Sprintf("%d of %d records would be refused", refused, len(lines)),
		Data: struct {
			Checked int           `json:"checkedCount"`
			Refused int           `json:"refusedCount"`
			Lines   []checkedLine `json:"lines"`
		}{len(lines), refused, lines},
	})
}

// check resolves one line.
func (m *importer) check(resolver *catalog.Resolver, n int, line []byte, err error) checkedLine {
	checked := checkedLine{Line: n}
	if errors.Is(err, errLongLine) {
		checked.Error = errLongLine.Error()
		return checked
	}
	kind, r, problem := m.parse(line)
	if problem != "" {
		checked.Error = problem
		return checked
	}
	msg := r.message(m.call.org)
	checked.Kind, checked.ID = kind.name, catalog.RecordID(msg)
	locations, err := resolver.Locations(msg)
	if err != nil {
		checked.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	for _, l := range locations {
		shown := checkedLocation{Field: l.Field, Given: l.Given, Readings: []reading{}}
		for _, p := range l.Places {
			shown.Readings = append(shown.Readings, reading{p.Bucket, p.Key, p.Prefix})
		}
		checked.Locations = append(checked.Locations, shown)
	}
	return checked
}

// importBody returns the lines of an import. Each read gets the time of a slow client.
func importBody(c *call, control *http.ResponseController) (io.Reader, error) {
	body := patient{c.Request.Body, control}
	if !c.gzipped() {
		return body, nil
	}
	read := &counted{body, 0}
	unzipped, err := gzip.NewReader(read)
	if err != nil {
		return nil, invalidField("body", "is not in the format gzip")
	}
	return &inflated{unzipped, read, 0}, nil
}

// counted counts what is read.
type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

// inflated bounds what a body becomes: at most maxRatio times what was sent, which records in
// JSON never exceed.
type inflated struct {
	io.Reader
	sent     *counted
	inflated int64
}

const (
	maxRatio = 200
	// freely is what a body may become at least, in bytes: the first records may be alike.
	freely = 16 << 20
)

func (z *inflated) Read(b []byte) (int, error) {
	n, err := z.Reader.Read(b)
	z.inflated += int64(n)
	if z.inflated > max(freely, maxRatio*z.sent.n) {
		return 0, tooDense()
	}
	return n, err
}

func tooDense() *Error {
	return &Error{
		Code:    CodeTooLarge,
		Message: fmt.Sprintf("The body becomes more than %d times as large when it is decompressed; send it without compression", maxRatio),
	}
}
