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
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	// maxLine is the maximum length of a line, in bytes.
	maxLine = 1 << 20
	// shownErrors is the number of errors in a response; all are counted.
	shownErrors = 100
	// batchRecords and batchBytes bound one command, below the maximum size of a log
	// entry.
	batchRecords = 1000
	batchBytes   = 400 << 10
	// windowBatches is the number of commands with records that are proposed together, with
	// one that reports them. The catalog applies up to 64 commands in one transaction (see
	// raftConfig), and for unordered records one transaction costs a fourth of separate ones.
	windowBatches = 63
	// manyRecords is the number of records after which an import leaves much garbage.
	manyRecords = 50_000
)

// importer turns lines into commands. It reads a window of them while the previous one
// is applied. Windows are applied one after the other, so the last line of an id wins.
type importer struct {
	call  *call
	kinds map[string]feedKind

	window *window // being filled
	sent   *window // being applied

	imported   map[string]uint64
	failed     uint64
	unresolved uint64 // of failed
	errors     []lineError

	resolver *catalog.Resolver
	feed     feedReport
}

type lineError struct {
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// window is several commands with the origin of their records.
type window struct {
	batches []*batch
	done    chan struct{}
	results []*pb.Result
	// rejected are the keys of refused records by batch and position.
	rejected []map[int]uint64
	err      error
}

// batch is one command.
type batch struct {
	records []*pb.Record
	lines   []int
	kinds   []string // plural
	bytes   int
}

// importRecords imports a catalog of any size, one record per line. Valid lines are
// imported; invalid lines are counted, and the first ones reported by line number.
func importRecords(c *call) (err error) {
	end, err := c.backend.limits.beginImport(c.org)
	if err != nil {
		return err
	}
	defer end()
	control := http.NewResponseController(c.ResponseWriter)
	body, err := importBody(c, control)
	if err != nil {
		return err
	}
	m := newImporter(c)
	ctx, cancel := context.WithCancel(c.context())
	defer cancel()
	defer func() {
		if err != nil {
			m.abandon(c.context(), err)
		}
	}()
	lines := bufio.NewReaderSize(body, 256<<10)
	for n := 1; ; n++ {
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
	// A deadline that expires while the last lines are applied would look like a client
	// that left.
	_ = control.SetReadDeadline(time.Time{})
	if err := m.finish(ctx); err != nil {
		return err
	}
	if err := m.report(ctx); err != nil {
		return err
	}
	if m.imported["backups"] > manyRecords {
		// The changed pages of the catalog are garbage now, and must not add to the
		// memory of the next scan. Pools are emptied at the second collection.
		runtime.GC()
		debug.FreeOSMemory()
	}
	return m.respond()
}

func newImporter(c *call) *importer {
	m := &importer{call: c, kinds: map[string]feedKind{}, window: &window{}, imported: map[string]uint64{}, errors: []lineError{}}
	for _, k := range feedKinds() {
		m.kinds[k.name] = k
		m.imported[k.plural] = 0
	}
	return m
}

// patient gives the client slowClient for each part of the body, however many lines it
// has and however long earlier lines took to apply.
type patient struct {
	body    io.Reader
	control *http.ResponseController
}

func (p patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(slowClient))
	return p.body.Read(b)
}

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxLine)

// readLine reads up to the next line feed. It skips a line that is too long. The line
// is valid until the next call.
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

// take adds the record of a line to the window, or counts an error.
func (m *importer) take(ctx context.Context, n int, line []byte, err error) error {
	if errors.Is(err, errLongLine) {
		m.fail(n, errLongLine.Error())
		m.feed.refuse(0, false)
		return nil
	}
	kind, r, problem := m.parse(line)
	if problem != "" {
		m.fail(n, problem)
		m.feed.refuse(lineKey(line), false)
		return nil
	}
	if m.resolver == nil {
		if m.resolver, err = m.call.resolver(); err != nil { //nolint:contextcheck // the call has its own
			return failedFrom(ctx, n, err)
		}
	}
	msg := r.message(m.call.org)
	if err := m.resolver.ResolveRecord(msg); err != nil {
		if m.call.countUnresolved(err) {
			m.unresolved++
		}
		m.fail(n, err.Error())
		m.feed.refuse(catalog.RecordKey(msg), errors.Is(err, catalog.ErrUnresolved))
		return nil
	}
	return m.add(ctx, n, kind.plural, msg)
}

// add adds a record to the window; it sends a full window first.
func (m *importer) add(ctx context.Context, n int, kind string, msg *pb.Record) error {
	size := proto.Size(msg) + 8
	if size > batchBytes {
		m.fail(n, "the record is too large")
		m.feed.refuse(catalog.RecordKey(msg), false)
		return nil
	}
	b := m.window.last()
	if len(b.records) == batchRecords || b.bytes+size > batchBytes {
		if len(m.window.batches) == windowBatches {
			if err := m.send(ctx); err != nil {
				return err
			}
		}
		b = m.window.add()
	}
	b.records = append(b.records, msg)
	b.lines = append(b.lines, n)
	b.kinds = append(b.kinds, kind)
	b.bytes += size
	return nil
}

// last returns the command for the next record.
func (w *window) last() *batch {
	if len(w.batches) == 0 {
		return w.add()
	}
	return w.batches[len(w.batches)-1]
}

func (w *window) add() *batch {
	b := &batch{}
	w.batches = append(w.batches, b)
	return b
}

// parse reads one line; problem says why it is invalid. Nearly all lines are backups,
// so it tries that kind first.
func (m *importer) parse(line []byte) (kind feedKind, r record, problem string) {
	line = withoutBOM(line)
	kind = m.kinds["backup"]
	r = kind.newRecord()
	err := decodeObject(line, r)
	if err != nil || r.kind() != kind.name {
		var head struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(line, &head); err != nil {
			return kind, nil, jsonProblem(badJSON(err))
		}
		var known bool
		if kind, known = m.kinds[head.Kind]; !known {
			return kind, nil, fmt.Sprintf("kind is %q: must be one of project, backup, schedule, pitr", head.Kind)
		}
		r = kind.newRecord()
		err = decodeObject(line, r)
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

// String lists the problems by field name.
func (w fieldErrors) String() string {
	list := make([]string, 0, len(w))
	for field, problem := range w {
		list = append(list, field+" "+problem)
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// jsonProblem returns why a line could not be read.
func jsonProblem(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		if d, ok := e.Details.(map[string]any); ok {
			if fields, ok := d["fields"].(fieldErrors); ok {
				return strings.TrimPrefix(fields.String(), "body ")
			}
		}
	}
	return "cannot be read"
}

// send proposes the window once the previous one has been applied.
func (m *importer) send(ctx context.Context) error {
	if err := m.wait(ctx); err != nil {
		return err
	}
	w := m.window
	m.window = &window{}
	if len(w.batches) == 0 {
		return nil
	}
	if err := m.call.inTime(); err != nil { //nolint:contextcheck // the call has its own
		return failedFrom(ctx, w.batches[0].lines[0], err)
	}
	w.done = make(chan struct{})
	m.sent = w
	records := uint64(0)
	commands := make([]proto.Message, 1, 1+len(w.batches))
	for _, b := range w.batches {
		commands = append(commands, &pb.PutRecords{Org: m.call.org, Records: b.records})
		records += uint64(len(b.records))
		b.records = nil
	}
	commands[0] = m.feed.progress(m.call.org, records, m.call.backend.now())
	go func() {
		defer close(w.done)
		results, err := m.call.backend.consensus.ProposeAll(ctx, commands)
		if w.err = err; err == nil {
			w.results, w.rejected = results[1:], rejectedKeys(commands, results)[1:]
			w.err = catalog.ResultError(results[0])
		}
	}()
	return nil
}

// failedFrom returns err as the reason why a line and those after it were not imported.
func failedFrom(ctx context.Context, line int, err error) error {
	e := toError(ctx, err)
	e.Details = map[string]any{"failedFromLine": line, "reason": "earlier lines were imported; the whole import can be sent again"}
	return e
}

// wait waits for the proposed window and counts its results.
func (m *importer) wait(ctx context.Context) error {
	w := m.sent
	if w == nil {
		return nil
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	m.sent = nil
	if w.err != nil {
		return failedFrom(ctx, w.batches[0].lines[0], w.err)
	}
	for i, b := range w.batches {
		if err := catalog.ResultError(w.results[i]); err != nil {
			return err
		}
		refused := map[int]string{}
		for _, r := range w.results[i].Rejected {
			refused[int(r.Index)] = r.Message
		}
		for j, line := range b.lines {
			if problem, ok := refused[j]; ok {
				m.fail(line, problem)
				m.feed.refuse(w.rejected[i][j], false)
			} else {
				m.imported[b.kinds[j]]++
			}
		}
	}
	return nil
}

func (m *importer) finish(ctx context.Context) error {
	if err := m.send(ctx); err != nil {
		return err
	}
	return m.wait(ctx)
}

// fail counts an invalid line. The catalog refuses records later than the parser, so
// the list is sorted for the response.
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

// cut returns the error of a body that ends early.
func (m *importer) cut(line int, err error) error {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	if _, known := errors.AsType[*Error](err); known || tooLarge || gone(err) {
		return err
	}
	return &Error{
		Code: CodeValidation, Err: err,
		Message: fmt.Sprintf("The body ended early in line %d; earlier records may have been imported, and the whole import can be sent again", line),
	}
}

func (m *importer) respond() error {
	m.trim()
	good := m.stored()
	for kind, n := range m.imported {
		m.call.audited.did(kind, n)
	}
	m.call.audited.did("failed", m.failed)
	var state *pb.FeedState
	if err := m.call.backend.catalog.View(func(tx *catalog.Tx) (err error) {
		state, err = tx.FeedState(m.call.org)
		return err
	}); err != nil {
		return err
	}
	return m.call.respond(envelope{
		Message: fmt.Sprintf("Imported %d of %d records", good, good+m.failed),
		Data: struct {
			Imported   map[string]uint64 `json:"imported"`
			Failed     uint64            `json:"failedCount"`
			Unresolved uint64            `json:"unresolvedCount"`
			Errors     []lineError       `json:"errors"`
			Feed       *feedState        `json:"feed"`
		}{m.imported, m.failed, m.unresolved, m.errors, showFeed(state)},
	})
}
