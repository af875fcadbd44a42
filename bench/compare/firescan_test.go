package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// fake is a Storage API with the calls that compare uses, for one bucket. wrong names a
// figure that it reports wrong.
type fake struct {
	keys  *bucketserver.Keys
	want  *bucketserver.Expected
	wrong string
	syncs []map[string]any
	lines int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data := func(v any) { _ = json.NewEncoder(w).Encode(map[string]any{"success": true, "data": v}) }
	off := func(figure string) uint64 {
		if f.wrong == figure {
			return 1
		}
		return 0
	}
	orphans := f.want.OrphanTotal()
	switch path := r.Method + " " + r.URL.Path; path {
	case "POST /api/v1/storage/destinations":
		data(map[string]any{"id": "storage_1"})
	case "POST /api/v1/catalog/import":
		for s := bufio.NewScanner(r.Body); s.Scan(); {
			f.lines++
		}
		var bad []any
		if f.wrong == "import" {
			bad = append(bad, map[string]any{"line": 7})
		}
		data(map[string]any{"imported": f.lines, "errors": bad})
	case "POST /api/v1/storage/sync":
		status := "completed"
		if f.wrong == "status" {
			status = "failed"
		}
		id := fmt.Sprint("sync_", len(f.syncs))
		f.syncs = append(f.syncs, map[string]any{
			"id": id, "status": status, "startedAt": "2024-01-15T10:00:00.000Z", "finishedAt": "2024-01-15T10:00:00.001Z",
			"filesScanned": f.want.Digest.Files + off("filesScanned"), "orphanFiles": orphans.Files, "missingBackups": f.want.Missing + off("missing"),
		})
		data(map[string]any{"status": "syncing", "syncIds": []string{id}})
	case "GET /api/v1/storage/syncs/sync_0", "GET /api/v1/storage/syncs/sync_1":
		data(f.syncs[path[len(path)-1]-'0'])
	case "GET /api/v1/storage/destinations/storage_1/files/stats":
		types := map[string]any{}
		for _, t := range bucketserver.Types() {
			types[t.String()] = map[string]any{
				"count": f.want.Linked[t].Files + f.want.Orphans[t].Files, "size": fmt.Sprint(f.want.Linked[t].Bytes + f.want.Orphans[t].Bytes + off("type")),
			}
		}
		data(map[string]any{
			"totalFiles": f.want.Digest.Files, "totalSize": fmt.Sprint(f.want.Digest.Bytes), "linkedFiles": f.want.Digest.Files - orphans.Files,
			"linkedSize": fmt.Sprint(f.want.Digest.Bytes - orphans.Bytes), "orphanFiles": orphans.Files, "orphanSize": fmt.Sprint(orphans.Bytes), "byType": types,
		})
	case "GET /api/v1/storage/destinations/storage_1/files":
		f.files(w)
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"success":false,"error":{"code":"NOT_FOUND","message":"no such thing"}}`))
	}
}

// files writes all keys of the bucket as files. The number of orphans is correct, but not
// which files they are.
func (f *fake) files(w http.ResponseWriter) {
	type file struct {
		Path, Size, LastModified string
		IsOrphan                 bool
	}
	left := f.want.OrphanTotal().Files
	var files []file
	for _, o := range listObjects(f.keys) {
		if f.wrong == "files" && len(files) == 10 {
			o.LastModified = o.LastModified.Add(time.Second)
		}
		files = append(files, file{o.Key, fmt.Sprint(o.Size), o.LastModified.Format(time.RFC3339), left > 0})
		left -= min(left, 1)
	}
	meta := map[string]any{"cached": true}
	var lower []map[string]any
	for _, x := range files {
		lower = append(lower, map[string]any{"path": x.Path, "size": x.Size, "lastModified": x.LastModified, "isOrphan": x.IsOrphan, "type": "backup"})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"success": true, "a": []int{1, 2}, "data": map[string]any{"earlier": map[string]any{"x": 1}, "files": lower}, "meta": meta})
}

type object struct {
	Key          string
	Size         int64
	LastModified time.Time
}

func listObjects(keys *bucketserver.Keys) []object {
	s := bucketserver.New(bucketserver.Options{Keys: keys, PageSize: int(keys.Len())})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+s.Bucket(), nil))
	var objects []object
	for part := range strings.SplitSeq(w.Body.String(), "<Contents>") {
		text := func(name string) string {
			_, rest, _ := strings.Cut(part, "<"+name+">")
			value, _, _ := strings.Cut(rest, "</"+name+">")
			return value
		}
		var o object
		if o.Key = text("Key"); o.Key == "" {
			continue
		}
		_, _ = fmt.Sscan(text("Size"), &o.Size)
		o.LastModified, _ = time.Parse(time.RFC3339, text("LastModified"))
		objects = append(objects, o)
	}
	return objects
}

// A correct node passes the measurement; a single wrong figure fails it.
func TestWrongFigureFailsTheMeasurement(t *testing.T) {
	keys, err := bucketserver.NewKeys(bucketserver.Skewed, 2_000)
	if err != nil {
		t.Fatal(err)
	}
	want, err := keys.Expect(catalog("", keys.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "import", "status", "filesScanned", "missing", "type", "files"} {
		t.Run("wrong "+wrong, func(t *testing.T) {
			f := &fake{keys: keys, want: want, wrong: wrong}
			ts := httptest.NewServer(f)
			defer ts.Close()
			defer http.DefaultClient.CloseIdleConnections()
			err := measureFake(t, ts.URL, keys, want)
			if (err == nil) != (wrong == "") {
				t.Errorf("got %v", err)
			}
			if wrong == "" && uint64(f.lines) != want.Records() {
				t.Errorf("%d records imported, want %d", f.lines, want.Records())
			}
		})
	}
}

func measureFake(t *testing.T, url string, keys *bucketserver.Keys, want *bucketserver.Expected) error {
	t.Helper()
	ctx := t.Context()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	a := &api{base: url, token: "fsk_x", org: org}
	n := &node{url: url, dir: t.TempDir(), owner: a, service: a, daemon: &daemon{done: make(chan struct{})}}
	n.daemon.cmd = &exec.Cmd{Process: self}
	dest, err := n.createDestination(ctx, "http://127.0.0.1:9000")
	if err != nil || dest != "storage_1" {
		t.Fatalf("connect: %q, %v", dest, err)
	}
	if _, err := n.importRecords(ctx, keys, catalog(dest, keys.Len()), want.Records()); err != nil {
		return err
	}
	for range 2 {
		id, err := n.startSync(ctx, dest)
		if err != nil {
			return err
		}
		s, err := n.waitSync(ctx, id)
		if err != nil {
			return err
		}
		if took, err := s.duration(); err != nil || took != time.Millisecond {
			t.Errorf("the sync took %v, %v", took, err)
		}
		if err := checkSync(s, want); err != nil {
			return err
		}
	}
	if err := n.checkStats(ctx, dest, want); err != nil {
		return err
	}
	_, err = n.checkFiles(ctx, dest, want)
	return err
}

func TestErrorResponseHasCode(t *testing.T) {
	ts := httptest.NewServer(&fake{want: new(bucketserver.Expected)})
	defer ts.Close()
	defer http.DefaultClient.CloseIdleConnections()
	err := (&api{base: ts.URL}).call(t.Context(), http.MethodGet, "/api/v1/nothing", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "NOT_FOUND: no such thing") {
		t.Errorf("got %v", err)
	}
}

func TestIndexSize(t *testing.T) {
	dir := t.TempDir()
	if _, err := indexSize(dir); err == nil {
		t.Error("no segment: no error")
	}
	for name, size := range map[string]int{"a.seg": 100, "b.seg": 23, "catalog.db": 5000} {
		if err := os.WriteFile(dir+"/"+name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if size, err := indexSize(dir); err != nil || size != 123 {
		t.Errorf("%d, %v", size, err)
	}
}
