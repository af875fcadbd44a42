package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

const (
	// maxLine bounds a line of an import, in bytes.
	maxLine = 1 << 20
	// shownErrors is how many bad lines an import tells of; it counts all.
	shownErrors = 100
	// batchRecords and batchBytes bound one command, below the greatest log entry.
	batchRecords = 1000
	batchBytes   = 400 << 10
	// inFlight is how many commands of an import are under way at once. The catalog
	// applies them together, which costs it far less than one by one.
	inFlight = 16
)

// importer turns lines into commands. Lines are read and proposed in order, but
// several commands are under way at once and may change places; so a batch that has
// an id of one under way waits for that first.
type importer struct {
	call  *call
	kinds map[string]feedKind

	batch batch
	sent  []*batch // under way, oldest first

	imported map[string]uint64
	failed   uint64
	errors   []lineError
}

type lineError struct {
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// batch is one command in the making.
type batch struct {
	records []*pb.Record
	lines   []int
	kinds   []string
	bytes   int
	ids     map[string]struct{}
	done    chan struct{}
	result  *pb.Result
	err     error
}

// importRecords takes a catalog of any size, a record a line. Good lines land, bad
// ones are counted and the first of them told.
func (s *Server) importRecords(c *call) error {
	control := http.NewResponseController(c.ResponseWriter)
	m := &importer{call: c, kinds: map[string]feedKind{}, imported: map[string]uint64{}, errors: []lineError{}}
	for _, k := range feedKinds() {
		m.kinds[k.name] = k
		m.imported[k.plural] = 0
	}
	ctx, cancel := context.WithCancel(c.context())
	defer cancel()
	lines := bufio.NewReaderSize(c.Request.Body, 256<<10)
	for n := 1; ; n++ {
		if n%1000 == 1 {
			_ = control.SetReadDeadline(time.Now().Add(slowClient))
		}
		line, err := readLine(lines)
		if len(bytes.TrimSpace(line)) > 0 || errors.Is(err, errLongLine) {
			if lineErr := m.take(ctx, n, line, err); lineErr != nil {
				return lineErr
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return m.cut(n, err)
		}
	}
	if err := m.finish(ctx); err != nil {
		return err
	}
	return m.answer()
}

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxLine)

// readLine reads up to the next line feed. A line that is too long is passed over.
// The line is valid until the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	whole := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.ReadSlice('\n')
		if len(whole) <= maxLine {
			whole = append(whole, line...)
		}
	}
	if len(whole) > maxLine && (err == nil || errors.Is(err, io.EOF)) {
		return nil, errors.Join(errLongLine, err)
	}
	return whole, err
}

// take adds a line's record to the batch.
func (m *importer) take(ctx context.Context, n int, line []byte, err error) error {
	if errors.Is(err, errLongLine) {
		m.fail(n, errLongLine.Error())
		return nil
	}
	kind, r, problem := m.parse(line)
	if problem != "" {
		m.fail(n, problem)
		return nil
	}
	msg := r.message(m.call.org)
	size := proto.Size(msg) + 8
	if size > batchBytes {
		m.fail(n, "the record is too large")
		return nil
	}
	b := &m.batch
	if len(b.records) == batchRecords || b.bytes+size > batchBytes {
		if err := m.send(ctx); err != nil {
			return err
		}
	}
	if b.ids == nil {
		b.ids = map[string]struct{}{}
	}
	b.records = append(b.records, msg)
	b.lines = append(b.lines, n)
	b.kinds = append(b.kinds, kind.plural)
	b.bytes += size
	b.ids[kind.name+"\x00"+recordID(msg)] = struct{}{}
	return nil
}

// parse reads one line; problem says what is wrong with it. Nearly all lines are
// backups, so it tries that first and looks closer where it fails.
func (m *importer) parse(line []byte) (kind feedKind, r record, problem string) {
	kind = m.kinds["backup"]
	r = kind.fresh()
	err := decodeLine(line, r)
	if err != nil || r.kind() != kind.name {
		var head struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(line, &head); err != nil {
			return kind, nil, jsonProblem(err)
		}
		var known bool
		if kind, known = m.kinds[head.Kind]; !known {
			return kind, nil, fmt.Sprintf("kind %q is none of project, backup, schedule, pitr", head.Kind)
		}
		r = kind.fresh()
		err = decodeLine(line, r)
	}
	if err != nil {
		return kind, nil, jsonProblem(err)
	}
	wrong := fieldErrors{}
	if r.check(wrong); len(wrong) > 0 {
		return kind, nil, wrong.String()
	}
	return kind, r, ""
}

func decodeLine(line []byte, r record) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the JSON object")
	}
	return nil
}

// String lists the problems in order of the fields' names.
func (w fieldErrors) String() string {
	list := make([]string, 0, len(w))
	for field, problem := range w {
		list = append(list, field+" "+problem)
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

func jsonProblem(err error) string {
	if e, ok := errors.AsType[*Error](badJSON(err)); ok {
		if d, ok := e.Details.(map[string]any); ok {
			if fields, ok := d["fields"].(fieldErrors); ok {
				return strings.TrimPrefix(fields.String(), "body ")
			}
		}
	}
	return "cannot be read"
}

func recordID(r *pb.Record) string {
	switch k := r.Kind.(type) {
	case *pb.Record_Project:
		return k.Project.Id
	case *pb.Record_Backup:
		return k.Backup.Id
	case *pb.Record_Schedule:
		return k.Schedule.Id
	case *pb.Record_Pitr:
		return k.Pitr.Id
	}
	return ""
}

// send puts the batch under way.
func (m *importer) send(ctx context.Context) error {
	if len(m.batch.records) == 0 {
		return nil
	}
	for len(m.sent) >= inFlight || m.collides() {
		if err := m.settle(ctx); err != nil {
			return err
		}
	}
	b := m.batch
	b.done = make(chan struct{})
	m.batch = batch{}
	m.sent = append(m.sent, &b)
	go func() {
		defer close(b.done)
		b.result, b.err = m.call.server.Consensus.Propose(ctx, &pb.PutRecords{Org: m.call.org, Records: b.records})
	}()
	return nil
}

// collides tells whether a batch under way has a record that the next one has, too.
func (m *importer) collides() bool {
	for _, b := range m.sent {
		for id := range m.batch.ids {
			if _, both := b.ids[id]; both {
				return true
			}
		}
	}
	return false
}

// settle waits for the oldest batch under way and counts what became of it.
func (m *importer) settle(ctx context.Context) error {
	b := m.sent[0]
	select {
	case <-b.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	m.sent = m.sent[1:]
	if b.err != nil {
		e := toError(b.err)
		e.Details = map[string]any{"failedFromLine": b.lines[0], "reason": "the lines before it landed; the import can be sent again as a whole"}
		return e
	}
	refused := map[uint32]string{}
	for _, r := range b.result.Rejected {
		refused[r.Index] = r.Message
	}
	for i, line := range b.lines {
		if problem, ok := refused[uint32(i)]; ok { //nolint:gosec // at most batchRecords
			m.fail(line, problem)
		} else {
			m.imported[b.kinds[i]]++
		}
	}
	return nil
}

func (m *importer) finish(ctx context.Context) error {
	if err := m.send(ctx); err != nil {
		return err
	}
	for len(m.sent) > 0 {
		if err := m.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fail counts a bad line. Batches settle in order, but the lines in the making are
// found bad before them; so the list is put in order when it is answered.
func (m *importer) fail(line int, problem string) {
	m.failed++
	m.errors = append(m.errors, lineError{line, problem})
	if len(m.errors) >= 4*shownErrors {
		m.trim()
	}
}

func (m *importer) trim() {
	slices.SortFunc(m.errors, func(a, b lineError) int { return a.Line - b.Line })
	m.errors = m.errors[:min(len(m.errors), shownErrors)]
}

// cut is the answer when the body ends early: what was read landed.
func (m *importer) cut(line int, err error) error {
	if gone(err) {
		return err
	}
	return &Error{
		Code: CodeValidation, Err: err,
		Message: fmt.Sprintf("The body was cut short in line %d; records before it may have landed, and the import can be sent again as a whole", line),
	}
}

func (m *importer) answer() error {
	m.trim()
	var good uint64
	for _, n := range m.imported {
		good += n
	}
	return m.call.answer(envelope{
		Message: fmt.Sprintf("Imported %d of %d records", good, good+m.failed),
		Data: struct {
			Imported map[string]uint64 `json:"imported"`
			Failed   uint64            `json:"failedCount"`
			Errors   []lineError       `json:"errors"`
		}{m.imported, m.failed, m.errors},
	})
}
