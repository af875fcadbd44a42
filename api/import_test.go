package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/provider/mem"
)

func line(i int, storage string) string {
	return fmt.Sprintf(`{"kind":"backup","id":"bkp_%d","storageId":%q,"projectId":"proj_1","status":"completed","size":%d,"collections":["users"],"createdAt":"2024-01-15T10:00:00Z","storagePath":"backups/production/bkp_%d.backup"}`+"\n", i, storage, i, i)
}

func TestImport(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	body := "\ufeff" + `{"kind":"project","id":"proj_1","name":"App"}` + "\n" + // 1
		"\n" + // 2: empty lines are ignored
		line(1, id) + // 3
		`{"kind":"backup","id":"bkp_x","storageId":"` + id + `","shade":"red"}` + "\n" + // 4
		`not json` + "\n" + // 5
		`{"kind":"bucket","id":"b"}` + "\n" + // 6
		line(2, "storage_unknown") + // 7
		`{"kind":"backup","id":"","storageId":"` + id + `","size":-1}` + "\n" + // 8
		`{"kind":"schedule","id":"sched_1","storageId":"` + id + `","name":"Daily","enabled":true,"cronExpression":"0 2 * * *"}` + "\n" + // 9
		`{"kind":"pitr","id":"pitr_1","storageId":"` + id + `","prefix":"wal/"}` + "\n" + // 10
		`{"kind":"pitr","id":"pitr_2","storageId":"` + id + `","prefix":""}` + "\n" + // 11
		`{"kind":"backup","id":"long","storageId":"` + id + `","status":"` + strings.Repeat("x", maxLine) + `"}` + "\n" + // 12
		strings.TrimSuffix(line(3, id), "\n") // 13, without a line feed
	a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", body)
	if a.status != 200 || a.at("message") != "Imported 5 of 12 records" || a.at("data", "failedCount") != 7.0 {
		t.Fatalf("import: %d %.600s", a.status, a.raw)
	}
	var lines []string
	for i := range a.at("data", "errors").([]any) {
		lines = append(lines, fmt.Sprint(a.at("data", "errors", i, "line"), " ", a.at("data", "errors", i, "message")))
	}
	for i, want := range []string{"4 shade", "5 is invalid JSON", `6 kind is "bucket"`, "7 ", "8 id must", "11 prefix", "12 the line is longer"} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("error %d is %q, want %q", i, lines[i], want)
		}
	}
	if a.at("data", "imported", "backups") != 2.0 || a.at("data", "imported", "pitr") != 1.0 {
		t.Errorf("imported %v", a.at("data", "imported"))
	}
	got := r.do(catalog.RoleService, "GET", "/api/v1/catalog/backups/bkp_3", "")
	if got.at("data", "storagePath") != "backups/production/bkp_3.backup" || got.at("data", "createdAt") != "2024-01-15T10:00:00.000Z" {
		t.Errorf("imported record: %s", got.raw)
	}
	r.do(catalog.RoleService, "GET", "/api/v1/catalog/backups/bkp_2", "").refused(404, CodeBackupNotFound)
}

// TestImportKeepsTheLastOfAnID sends one id in many batches: the last line wins.
func TestImportKeepsTheLastOfAnID(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	var body strings.Builder
	for i := range 6000 {
		body.WriteString(line(i%2500, id))
		if i%900 == 0 {
			fmt.Fprintf(&body, `{"kind":"backup","id":"again","storageId":%q,"size":%d,"storagePath":"a"}`+"\n", id, i)
		}
	}
	a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", body.String())
	if a.at("data", "failedCount") != 0.0 {
		t.Fatalf("import: %s", a.raw)
	}
	if got := r.do(catalog.RoleService, "GET", "/api/v1/catalog/backups/again", ""); got.at("data", "size") != 5400.0 {
		t.Errorf("the record is that of line %v, want the last", got.at("data", "size"))
	}
	if got := r.owner("GET", "/api/v1/storage/destinations/"+id+"/backups?limit=1", ""); got.at("data", "totalCount") != 2501.0 {
		t.Errorf("%v backups, want 2501", got.at("data", "totalCount"))
	}
}

// slowLog holds commands back until let is closed.
type slowLog struct {
	Consensus
	let      chan struct{}
	commands int
	greatest int // bytes of a command
	records  int
}

func (l *slowLog) ProposeAll(_ context.Context, all []proto.Message) ([]*pb.Result, error) {
	<-l.let
	results := make([]*pb.Result, len(all))
	for i, m := range all {
		results[i] = &pb.Result{}
		l.commands++
		l.greatest = max(l.greatest, proto.Size(m))
		if put, ok := m.(*pb.PutRecords); ok {
			l.records += len(put.Records)
		}
	}
	return results, nil
}

func importerTo(log Consensus) *importer {
	request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", strings.NewReader(""))
	return newImporter(&call{Request: request, backend: &backend{consensus: log, now: time.Now, log: slog.New(slog.DiscardHandler)}, org: org})
}

// TestImportIsBoundedInMemory has a log that stands still: the importer reads until it
// holds two windows, the one being applied and the next, and no further.
func TestImportIsBoundedInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lines = 20_000
		log := &slowLog{let: make(chan struct{})}
		m := importerTo(log)
		record := (&backupRecord{ID: "b", StorageID: "s", Files: slices.Repeat([]string{strings.Repeat("x", 1000)}, 8)}).message(org)
		var taken atomic.Int32
		done := make(chan error)
		go func() {
			for i := range lines {
				if err := m.add(t.Context(), i+1, "backups", record); err != nil {
					done <- err
					return
				}
				taken.Add(1)
			}
			done <- m.finish(t.Context())
		}()
		synctest.Wait()
		// Two full windows: not one command more, and each command has room for less
		// than one record.
		held := int(taken.Load()) * 8000
		if most := 2 * windowBatches * batchBytes; held > most || held < most*9/10 {
			t.Errorf("the importer holds %d KiB when the log stands still, want about %d KiB", held>>10, most>>10)
		}
		close(log.let)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if log.records != lines || m.imported["backups"] != lines || m.failed != 0 {
			t.Errorf("%d lines became %d records, counted as %v and %d bad ones", lines, log.records, m.imported, m.failed)
		}
		if log.greatest > catalog.MaxEntry*9/10 {
			t.Errorf("a command of %d bytes, of %d that the log takes", log.greatest, catalog.MaxEntry)
		}
	})
}

// TestImportIsCutShort has a client that leaves in the middle of a line.
func TestImportIsCutShort(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.http.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := line(1, id) + line(2, id)[:40]
	fmt.Fprintf(conn, "POST /api/v1/catalog/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Organization-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
		r.tokens[catalog.RoleService], org, len(body)+100, body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "ended early in line 2") {
		t.Errorf("a body that ends early got %d %s (%v)", res.StatusCode, text, err)
	}
}

// TestImportWithoutALeader reports the line from which nothing was imported.
func TestImportWithoutALeader(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.replog.Fail(cluster.ErrNoLeader)
	a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", "\n"+line(1, id))
	a.refused(http.StatusServiceUnavailable, CodeNoLeader)
	if a.header.Get("Retry-After") == "" || a.at("error", "details", "failedFromLine") != 2.0 {
		t.Errorf("import without a leader: %v %s", a.header, a.raw)
	}
}

// TestManyInvalidLines reports the first hundred in order, and counts all. Refusals of
// the catalog come later than parse errors.
func TestManyInvalidLines(t *testing.T) {
	r := newRig(t, mem.Options{})
	var body strings.Builder
	for i := range 3000 {
		if i%2 == 0 {
			body.WriteString(line(i, "storage_unknown"))
		} else {
			body.WriteString("bad\n")
		}
	}
	a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", body.String())
	list := a.at("data", "errors").([]any)
	if a.at("data", "failedCount") != 3000.0 || len(list) != shownErrors {
		t.Fatalf("%v invalid lines, %d reported", a.at("data", "failedCount"), len(list))
	}
	for i := range list {
		if got := a.at("data", "errors", i, "line"); got != float64(i+1) {
			t.Fatalf("invalid line %d is reported as %v", i+1, got)
		}
	}
}

func FuzzImportLine(f *testing.F) {
	f.Add(line(1, "storage_1"))
	f.Add(`{"kind":"pitr","id":"p","storageId":"s","prefix":"a"}`)
	f.Add(`{"kind":"backup","id":null,"files":[null,"a"]}`)
	m := importerTo(nil)
	f.Fuzz(func(t *testing.T, s string) {
		_, r, problem := m.parse([]byte(s))
		wrong := fieldErrors{}
		if problem != "" {
			return
		}
		if r.check(wrong); len(wrong) > 0 {
			t.Errorf("%q was taken: %v", s, wrong)
		}
	})
}

func BenchmarkImportParse(b *testing.B) {
	m := importerTo(nil)
	l := []byte(line(12345, "storage_1"))
	b.ReportAllocs()
	for b.Loop() {
		_, r, problem := m.parse(l)
		if problem != "" {
			b.Fatal(problem)
		}
		_ = r.message(org)
	}
}

// TestLinesOfAnyLength has lines about as long as the buffer and the limit.
func TestLinesOfAnyLength(t *testing.T) {
	const buffer = 256 << 10
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 100, buffer - 1, buffer, buffer + 1, maxLine - 1, maxLine + 1, maxLine + buffer}), 1, 4).Draw(t, "lengths")
		var text strings.Builder
		for i, n := range lengths {
			if i > 0 {
				text.WriteByte('\n')
			}
			text.WriteString(strings.Repeat(string(rune('a'+i)), n))
		}
		r := bufio.NewReaderSize(strings.NewReader(text.String()), buffer)
		for i, n := range lengths {
			got, err := readLine(r)
			if last := i == len(lengths)-1; errors.Is(err, io.EOF) != last {
				t.Fatalf("line %d of %d: %v", i, len(lengths), err)
			}
			if errors.Is(err, errLongLine) != (n > maxLine) {
				t.Fatalf("line %d of %d bytes: %v", i, n, err)
			}
			if n <= maxLine && strings.TrimSuffix(string(got), "\n") != strings.Repeat(string(rune('a'+i)), n) {
				t.Fatalf("line %d of %d bytes is read as %d", i, n, len(got))
			}
		}
	})
}
