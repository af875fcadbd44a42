package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"firescan/catalog"
	"firescan/index"
	"firescan/provider/mem"
)

// sink counts a response and keeps none of it.
type sink struct {
	header http.Header
	bytes  int
	writes int
	each   func()
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}

func (s *sink) Write(p []byte) (int, error) {
	s.bytes += len(p)
	s.writes++
	s.each()
	return len(p), nil
}

// stream makes a request without a connection; each is called while the server writes.
// The error is the handler's panic.
func (r *rig) stream(path string, each func()) (s *sink, err error) {
	r.t.Helper()
	req := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	req.Header.Set("Authorization", "Bearer "+r.tokens[catalog.RoleViewer])
	req.Header.Set("X-Organization-Id", org)
	s = &sink{header: http.Header{}, each: each}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %w", p.(error))
		}
	}()
	r.server.ServeHTTP(s, req)
	return s, nil
}

// streams are the endpoints without a time limit.
func streams(id string) []string {
	base := "/api/v1/storage/destinations/" + id
	return []string{base + "/files", base + "/files/export", base + "/files/export?format=csv", base + "/backups", base + "/backups?missing=true"}
}

// TestFailedStreamIsCut closes the catalog while the first part is written. That it can
// be closed shows that no transaction is open; the next part fails and cuts the
// connection.
func TestFailedStreamIsCut(t *testing.T) {
	for i := range streams("") {
		r := newRig(t, mem.Options{})
		id := r.destination()
		entries := someFiles(r, id, 3500)
		var missing []index.Missing
		for i := range 3500 {
			if i%3 != 0 {
				missing = append(missing, index.Missing{Org: []byte(org), BackupID: fmt.Append(nil, "bkp_", i), Path: fmt.Appendf(nil, "backups/production/%05d", i)})
			}
		}
		r.fill(id, entries, missing...)
		path := streams(id)[i]
		whole, err := r.stream(path, func() {})
		if err != nil || whole.writes < 2 {
			t.Fatalf("%s: %d writes, panic %v", path, whole.writes, err)
		}
		s, err := r.stream(path, func() {
			if err := r.catalog.Close(); err != nil {
				t.Error(err)
			}
		})
		if !errors.Is(err, http.ErrAbortHandler) || s.bytes >= whole.bytes {
			t.Errorf("%s: %d of %d bytes, then %v, want the connection cut", path, s.bytes, whole.bytes, err)
		}
	}
}

func longFiles(n int) []index.Entry {
	entries := make([]index.Entry, n)
	for i := range entries {
		entries[i] = index.Entry{Path: fmt.Appendf(nil, "backups/production/a-rather-long-name-of-a-file-%09d.backup", i), Size: 1, ModTime: 1e12}
	}
	return entries
}

// TestStreamsUseConstantMemory sends responses of many MiB, four times the allowed
// memory.
func TestStreamsUseConstantMemory(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.fill(id, longFiles(100_000))
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, path := range streams(id)[:3] {
		before, most, n := live(), uint64(0), 0
		s, err := r.stream(path, func() {
			if n++; n%20 == 0 {
				most = max(most, live())
			}
		})
		if err != nil || s.bytes < 8<<20 || n < 50 {
			t.Fatalf("%s: %d bytes in %d writes, panic %v", path, s.bytes, n, err)
		}
		if most > before+2<<20 {
			t.Errorf("%s: a response of %d MiB held %d KiB", path, s.bytes>>20, (most-before)>>10)
		}
	}
}
