package api

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// someFiles returns n files, some with hostile names; every third stem has a record.
func someFiles(r *rig, id string, n int) []index.Entry {
	var entries []index.Entry
	put := &pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Project{Project: &pb.Project{Org: org, Id: "proj_1", Name: `The "Project", é`}}}}}
	hostile := []string{"a b", "a+b", "a%20b", `q"uote`, "new\nline", "comma,", "ünï日本", "back\\slash", "\x01ctl", "<&>"}
	for i := range n {
		stem := fmt.Sprintf("backups/production/%s-%05d", hostile[i%len(hostile)], i)
		linked := i%3 != 0
		if linked {
			put.Records = append(put.Records, &pb.Record{Kind: &pb.Record_Backup{Backup: &pb.Backup{
				Org: org, Id: fmt.Sprint("bkp_", i), StorageId: id, ProjectId: "proj_1", Status: "completed", Size: 5, StoragePath: []byte(stem + ".backup"),
			}}})
		}
		typ := index.Type(i % 5)
		e := index.Entry{
			Path: []byte(stem + ".backup"), Size: int64(i * 1000), ModTime: r.now.Add(-time.Duration(i) * time.Hour).UnixMilli(), Type: typ, Linked: linked,
		}
		if i%11 == 10 {
			e.ModTime = 0 // unknown
		}
		entries = append(entries, e)
	}
	for chunk := range slices.Chunk(put.Records, 500) {
		r.propose(&pb.PutRecords{Org: org, Records: chunk})
	}
	slices.SortFunc(entries, func(a, b index.Entry) int { return bytes.Compare(a.Path, b.Path) })
	return entries
}

func fileNames(a *response) (names []string) {
	for i := range a.at("data", "files").([]any) {
		names = append(names, a.at("data", "files", i, "path").(string))
	}
	return names
}

// TestFilesByEveryFilter lists all pages with every filter, and compares them with the
// rule applied to the list in memory.
func TestFilesByEveryFilter(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	entries := someFiles(r, id, 1300)
	r.fill(id, entries)
	base := "/api/v1/storage/destinations/" + id + "/files"
	rapid.Check(t, func(rt *rapid.T) {
		q := url.Values{}
		match := func(index.Entry) bool { return true }
		and := func(more func(index.Entry) bool) {
			before := match
			match = func(e index.Entry) bool { return before(e) && more(e) }
		}
		if rapid.Bool().Draw(rt, "orphans") {
			q.Set("orphansOnly", "true")
			and(func(e index.Entry) bool { return !e.Linked })
		}
		if typ := rapid.IntRange(-1, 4).Draw(rt, "type"); typ >= 0 {
			q.Set("type", index.Type(typ).String())
			and(func(e index.Entry) bool { return e.Type == index.Type(typ) })
		}
		if p := rapid.SampledFrom([]string{"", "backups/", "backups/production/a", "backups/production/ü", "nothing"}).Draw(rt, "prefix"); p != "" {
			q.Set("prefix", p)
			and(func(e index.Entry) bool { return strings.HasPrefix(string(e.Path), p) })
		}
		if h := rapid.SampledFrom([]int{0, 1, 100, 700}).Draw(rt, "age"); h > 0 {
			q.Set("minAge", fmt.Sprintf("%dh", h))
			cutoff := r.now.Add(-time.Duration(h) * time.Hour).Truncate(time.Minute).UnixMilli()
			and(func(e index.Entry) bool { return e.ModTime > 0 && e.ModTime < cutoff })
		}
		var want []string
		var size, orphans, orphanSize int64
		for _, e := range entries {
			if match(e) {
				want = append(want, string(e.Path))
				size += e.Size
				if !e.Linked {
					orphans++
					orphanSize += e.Size
				}
			}
		}
		check := func(a *response) {
			if a.at("data", "total") != float64(len(want)) || a.at("data", "totalSize") != fmt.Sprint(size) ||
				a.at("data", "orphanCount") != float64(orphans) || a.at("data", "orphanSize") != fmt.Sprint(orphanSize) {
				rt.Fatalf("%v: totals of %s, want %d files of %d bytes, %d orphans of %d", q, a.raw[len(a.raw)-300:], len(want), size, orphans, orphanSize)
			}
		}
		whole := r.owner("GET", base+"?"+q.Encode(), "")
		check(whole)
		if got := fileNames(whole); !slices.Equal(got, want) {
			rt.Fatalf("%v: %d files, want %d", q, len(got), len(want))
		}
		q.Set("limit", fmt.Sprint(rapid.SampledFrom([]int{97, 400, 1000}).Draw(rt, "limit")))
		var pages []string
		for {
			a := r.owner("GET", base+"?"+q.Encode(), "")
			check(a)
			pages = append(pages, fileNames(a)...)
			next, _ := a.at("meta", "nextCursor").(string)
			if next == "" {
				break
			}
			q.Set("cursor", next)
		}
		if !slices.Equal(pages, want) {
			rt.Fatalf("%v: %d files in pages, want %d", q, len(pages), len(want))
		}
	})
}

func TestFileFields(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	entries := someFiles(r, id, 30)
	r.fill(id, entries)
	a := r.owner("GET", "/api/v1/storage/destinations/"+id+"/files", "")
	for i, e := range entries {
		f, _ := a.at("data", "files", i).(map[string]any)
		keys := slices.Sorted(maps.Keys(f))
		want := []string{"isOrphan", "lastModified", "path", "size", "type"}
		if e.Linked {
			want = []string{"backupId", "isOrphan", "lastModified", "path", "projectId", "projectName", "size", "type"}
			if f["projectName"] != `The "Project", é` {
				t.Errorf("project %v", f["projectName"])
			}
		}
		var modified any
		if e.ModTime != 0 {
			modified = time.UnixMilli(e.ModTime).UTC().Format("2006-01-02T15:04:05.000Z")
		}
		if !slices.Equal(keys, want) || f["size"] != fmt.Sprint(e.Size) || f["isOrphan"] == e.Linked || f["type"] != e.Type.String() ||
			f["lastModified"] != modified {
			t.Errorf("file %v of %+v", f, e)
		}
	}
}

func TestExports(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	entries := someFiles(r, id, 1205)
	r.fill(id, entries)
	base := "/api/v1/storage/destinations/" + id + "/files/export"
	lines := r.do(catalog.RoleViewer, "GET", base, "")
	var names []string
	for line := range strings.Lines(string(lines.raw)) {
		var f struct{ Path string }
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		names = append(names, f.Path)
	}
	table := r.do(catalog.RoleViewer, "GET", base+"?format=csv", "")
	rows, err := csv.NewReader(strings.NewReader(string(table.raw))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != len(entries) || len(rows) != len(entries)+1 {
		t.Fatalf("%d lines and %d rows of %d files", len(names), len(rows), len(entries))
	}
	for i, e := range entries {
		if names[i] != string(e.Path) || rows[i+1][0] != string(e.Path) || rows[i+1][7] != fmt.Sprint(!e.Linked) {
			t.Fatalf("file %q was exported as %q and %q", e.Path, names[i], rows[i+1])
		}
	}
	if table.header.Get("Content-Disposition") == "" || lines.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("headers %v and %v", table.header, lines.header)
	}
	r.do(catalog.RoleViewer, "GET", base+"?format=xml", "").refused(400, CodeValidation)
}

// TestConcurrentPages: the responses of many clients share buffers one after the other,
// and must not mix.
func TestConcurrentPages(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.fill(id, someFiles(r, id, 1300))
	base := "/api/v1/storage/destinations/" + id
	var paths, want []string
	for _, q := range []string{
		"/files?limit=10", "/files?orphansOnly=true", "/files?type=meta&limit=50", "/files", "/files/export?format=csv", "/files/export", "/files/stats", "/backups?limit=5",
	} {
		paths = append(paths, base+q)
		want = append(want, string(r.do(catalog.RoleViewer, "GET", base+q, "").raw))
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range paths {
				k := (i + j) % len(paths)
				if s, err := r.stream(paths[k], func() {}); err != nil || s.bytes != len(want[k]) {
					t.Errorf("%s: %d bytes, want %d (%v)", paths[k], s.bytes, len(want[k]), err)
				}
				if j == i { // one with all possible bytes
					if a := r.do(catalog.RoleViewer, "GET", paths[k], ""); string(a.raw) != want[k] {
						t.Errorf("%s has another response next to other requests", paths[k])
					}
				}
			}
		})
	}
	all.Wait()
}

func TestBadParameters(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for _, c := range []string{"limit=0", "limit=x", "limit=-1", "type=zip", "orphansOnly=maybe", "force=2", "minAge=old", "minAge=-1h", "cursor=***", "cursor=zzzz", "cursor=YQ", "cursor=" + encodeCursor("/api/v1/storage/destinations/:id/backups", []byte("a"))} {
		name, _, _ := strings.Cut(c, "=")
		if f := r.do(catalog.RoleViewer, "GET", "/api/v1/storage/destinations/"+id+"/files?"+c, "").refused(400, CodeValidation); f[name] == nil {
			t.Errorf("%s: fields %v", c, f)
		}
	}
}

func TestBeforeTheFirstSync(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for _, path := range []string{"/files", "/files/stats"} {
		a := r.owner("GET", "/api/v1/storage/destinations/"+id+path, "")
		if a.at("meta", "needsSync") != true || a.at("meta", "lastSyncAt") != nil || a.at("meta", "isFresh") != false {
			t.Errorf("%s before the first sync: %s", path, a.raw)
		}
	}
	r.owner("GET", "/api/v1/storage/stats", "")
	// No sync runs here: force waits for a while, then returns the present data.
	a := r.owner("GET", "/api/v1/storage/destinations/"+id+"/files?force=true", "")
	if a.at("meta", "isSyncing") != true {
		t.Errorf("force=true: %s", a.raw)
	}
}

func TestStats(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	entries := someFiles(r, id, 100)
	r.fill(id, entries)
	var files, size, orphans, orphanSize int64
	for _, e := range entries {
		files++
		size += e.Size
		if !e.Linked {
			orphans++
			orphanSize += e.Size
		}
	}
	a := r.owner("GET", "/api/v1/storage/destinations/"+id+"/files/stats", "")
	for key, want := range map[string]any{
		"totalFiles": float64(files), "totalSize": fmt.Sprint(size), "linkedFiles": float64(files - orphans), "linkedSize": fmt.Sprint(size - orphanSize),
		"orphanFiles": float64(orphans), "orphanSize": fmt.Sprint(orphanSize),
	} {
		if a.at("data", key) != want {
			t.Errorf("%s is %v, want %v", key, a.at("data", key), want)
		}
	}
	if a.at("data", "byType", "pitr", "count") != 20.0 {
		t.Errorf("by type: %s", a.raw)
	}
	all := r.owner("GET", "/api/v1/storage/stats", "")
	if all.at("data", "totals", "totalFiles") != float64(files) || all.at("data", "destinations", 0, "orphanSize") != fmt.Sprint(orphanSize) ||
		all.at("data", "totals", "totalDestinations") != 1.0 || all.at("data", "lastFullSyncAt") != "2026-05-01T12:00:00.000Z" || all.at("meta", "isSyncing") != false {
		t.Errorf("all destinations: %s", all.raw)
	}
	r.now = r.now.Add(2 * time.Hour)
	if m := r.owner("GET", "/api/v1/storage/destinations/"+id+"/files/stats", ""); m.at("meta", "isFresh") != false || m.at("meta", "needsSync") != false {
		t.Errorf("after two hours: %s", m.raw)
	}
	r.now = r.now.Add(48 * time.Hour)
	if m := r.owner("GET", "/api/v1/storage/destinations/"+id+"/files/stats", ""); m.at("meta", "needsSync") != true {
		t.Errorf("after two days: %s", m.raw)
	}
}

func TestBackups(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	entries := someFiles(r, id, 1600)
	r.fill(id, entries, index.Missing{Org: []byte(org), BackupID: []byte("lost_1"), Path: []byte("backups/production/x")},
		index.Missing{Org: []byte(org), BackupID: []byte("lost_2"), Path: []byte("backups/production/y")})
	base := "/api/v1/storage/destinations/" + id + "/backups"
	whole := r.owner("GET", base, "")
	list := whole.at("data", "backups").([]any)
	if n := len(list); n != 1066 || whole.at("data", "totalCount") != 1066.0 || whole.at("data", "totalSize") != 5330.0 {
		t.Fatalf("%d backups, totals %v", n, whole.at("data", "totalCount"))
	}
	var paged int
	for cursor := ""; ; {
		a := r.owner("GET", base+"?limit=300&cursor="+cursor, "")
		paged += len(a.at("data", "backups").([]any))
		meta, _ := a.body["meta"].(map[string]any)
		if cursor, _ = meta["nextCursor"].(string); cursor == "" {
			break
		}
	}
	if paged != 1066 {
		t.Errorf("%d backups in pages", paged)
	}
	r.putBackups(id, []string{"lost_1", "backups/production/x"}, []string{"lost_2", "backups/production/y"})
	missing := r.owner("GET", base+"?missing=true", "")
	if missing.at("data", "backups", 0, "id") != "lost_1" || missing.at("data", "totalCount") != 2.0 || missing.at("data", "totalSize") != 2.0 {
		t.Errorf("missing: %s", missing.raw)
	}
}
