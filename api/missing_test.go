package api

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// bareDestination creates a destination that is a whole bucket.
func (r *rig) bareDestination() string {
	r.t.Helper()
	return r.owner("POST", "/api/v1/storage/destinations", strings.Replace(createBody, "/backups/production/", "", 1)).at("data", "id").(string)
}

// putBackups imports records of a destination: each is its id, its storage path, and its files.
func (r *rig) putBackups(dest string, records ...[]string) *response {
	r.t.Helper()
	var lines strings.Builder
	for _, b := range records {
		quoted := make([]string, 0, len(b))
		for _, f := range b[2:] {
			quoted = append(quoted, fmt.Sprintf("%q", f))
		}
		fmt.Fprintf(&lines, `{"kind":"backup","id":%q,"storageId":%q,"status":"completed","size":1,"createdAt":"2024-01-15T10:00:00Z","storagePath":%q,"files":[%s]}`+"\n",
			b[0], dest, b[1], strings.Join(quoted, ","))
	}
	return r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", lines.String())
}

// missing lists the missing backups as "id state missing/… notLookedFor/…".
func (r *rig) missing(dest string) (list []string) {
	r.t.Helper()
	a := r.owner("GET", "/api/v1/storage/destinations/"+dest+"/backups?missing=true", "")
	for _, b := range a.at("data", "backups").([]any) {
		b := b.(map[string]any)
		text := fmt.Sprint(b["id"], " ", b["state"])
		for _, name := range []string{"missing", "notLookedFor"} {
			if names, ok := b[name].([]any); ok {
				text += " " + name
				for _, n := range names {
					text += fmt.Sprint(" ", n)
				}
			}
		}
		list = append(list, text)
	}
	if n := a.at("data", "totalCount"); n != float64(len(list)) || a.at("data", "missingCount").(float64)+a.at("data", "notLookedForCount").(float64) != n {
		r.t.Errorf("totals: %s", a.raw)
	}
	return list
}

// entries returns index entries of keys.
func entries(keys ...string) (list []index.Entry) {
	slices.Sort(keys)
	for _, k := range keys {
		list = append(list, index.Entry{Path: []byte(k), Size: 1, Linked: true})
	}
	return list
}

// TestMissingParts: a backup that lost a part is not whole, and the list names the part. What
// lies where no sync has looked is not known to be there, and stays listed when the destination
// is edited.
func TestMissingParts(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.bareDestination()
	if res := r.putBackups(id,
		[]string{"day1", "ch/day1.backup", "ch/base.backup"}, []string{"whole", "ch/whole.backup", "ch/part"},
		[]string{"folder", "export/"}, []string{"empty", "gone/"}, []string{"twice", "z/1.backup", "a/2", "a/3"},
	); res.at("data", "failedCount") != 0.0 {
		t.Fatalf("import: %s", res.raw)
	}
	want := []string{"day1 notLookedFor notLookedFor ch/day1.backup ch/base.backup", "empty notLookedFor notLookedFor gone/"}
	if got := r.missing(id); len(got) != 5 || !slices.Equal(got[:2], want) {
		t.Errorf("before the first sync: %q", got)
	}
	miss := func(id, path string) index.Missing {
		return index.Missing{Org: []byte(org), BackupID: []byte(id), Path: []byte(path)}
	}
	r.fill(id, entries("ch/day1.backup", "ch/part", "ch/whole.backup", "export/all/1"),
		miss("day1", "ch/base.backup"), miss("empty", "gone/"), miss("folder", "export/"), miss("twice", "z/1.backup"), miss("twice", "a/2"), miss("twice", "a/3"), miss("whole", "ch/stale"))
	want = []string{
		"twice missing missing z/1.backup a/2 a/3", "day1 missing missing ch/base.backup", "empty missing missing gone/",
	}
	if got := r.missing(id); !slices.Equal(got, want) {
		t.Errorf("after a sync: %q, want %q", got, want)
	}
	stats := r.owner("GET", "/api/v1/storage/destinations/"+id+"/files/stats", "")
	if stats.at("data", "missingBackups") != 3.0 || stats.at("data", "notLookedForBackups") != 0.0 {
		t.Errorf("stats: %s", stats.raw)
	}

	// Nothing leaves the list because the path was edited.
	r.owner("PUT", "/api/v1/storage/destinations/"+id, `{"path":"ch"}`)
	if got := r.missing(id); len(got) != 5 {
		t.Errorf("after the edit: %q", got)
	}
	r.fill(id, entries("ch/day1.backup", "ch/part", "ch/whole.backup"), miss("day1", "ch/base.backup"))
	want = []string{
		"day1 missing missing ch/base.backup", "empty notLookedFor notLookedFor gone/",
		"folder notLookedFor notLookedFor export/", "twice notLookedFor notLookedFor z/1.backup a/2 a/3",
	}
	if got := r.missing(id); !slices.Equal(got, want) {
		t.Errorf("after the edit and a sync: %q, want %q", got, want)
	}
	var pages []string
	for cursor := ""; ; {
		a := r.owner("GET", "/api/v1/storage/destinations/"+id+"/backups?missing=true&limit=1&cursor="+cursor, "")
		for i := range a.at("data", "backups").([]any) {
			pages = append(pages, a.at("data", "backups", i, "id").(string))
		}
		meta, _ := a.body["meta"].(map[string]any)
		if cursor, _ = meta["nextCursor"].(string); cursor == "" {
			break
		}
	}
	if !slices.Equal(pages, []string{"day1", "empty", "folder", "twice"}) {
		t.Errorf("in pages: %q", pages)
	}

	// Nor because the bucket was: what is in the new one under the same names is something else.
	r.owner("PUT", "/api/v1/storage/destinations/"+id, `{"bucket":"another","path":"","credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"`+secretText+`"}}`)
	r.fill(id, entries("ch/base.backup", "ch/day1.backup"))
	if got := r.missing(id); len(got) != 5 || got[0] != "day1 notLookedFor notLookedFor ch/day1.backup ch/base.backup" {
		t.Errorf("after the move: %q", got)
	}
}

// leavingClient is an index whose client leaves while it is opened.
type leavingClient struct {
	Shards
	leave  func()
	opened []*index.View
}

func (l *leavingClient) View(ctx context.Context, id string) (*index.View, error) {
	l.leave()
	view, err := l.Shards.View(ctx, id)
	if err == nil {
		l.opened = append(l.opened, view)
	}
	return view, err
}

// TestMissingListOfAClientThatLeft: no shard stays open.
func TestMissingListOfAClientThatLeft(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.bareDestination()
	r.fill(r.bareDestination(), entries("ch/day1.backup"))
	ctx, leave := context.WithCancel(t.Context())
	views := &leavingClient{Shards: r, leave: leave}
	c := &call{Request: httptest.NewRequestWithContext(ctx, "GET", "/", nil), backend: r.server.backend, org: org}
	_, err := (&shards{views, r.server.syncs}).openMissing(c, &pb.Destination{Org: org, Id: id}, nil)
	if !errors.Is(err, context.Canceled) || len(views.opened) != 1 {
		t.Fatalf("%v, %d shards were opened", err, len(views.opened))
	}
	if _, err := views.opened[0].Totals(index.Query{}); err == nil {
		t.Error("a shard is still open")
	}
}

// TestDeletedDestination: a destination that records name goes on taking and showing them.
func TestDeletedDestination(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.bareDestination()
	unused := r.bareDestination()
	deleted := func() []any {
		t.Helper()
		return r.owner("GET", "/api/v1/storage/destinations?deleted=true", "").at("data").([]any)
	}
	r.putBackups(id, []string{"b1", "x/1.backup"}, []string{"b2", "s3://backups-bucket/x/2.backup"})
	r.owner("DELETE", "/api/v1/storage/destinations/"+id, "")
	r.owner("DELETE", "/api/v1/storage/destinations/"+unused, "")
	if list := deleted(); len(list) != 1 || list[0].(map[string]any)["id"] != id || list[0].(map[string]any)["backupsCount"] != 2.0 || list[0].(map[string]any)["deletedAt"] == nil {
		t.Fatalf("deleted destinations: %v", list)
	}
	if list := r.owner("GET", "/api/v1/storage/destinations", "").at("data").([]any); len(list) != 0 {
		t.Errorf("destinations: %v", list)
	}
	// The feed goes on, as a whole and record by record, in every form.
	res := r.putBackups(id, []string{"b1", "x/1.backup"}, []string{"b2", "s3://backups-bucket/x/2.backup"}, []string{"b3", "/x/3.backup"})
	if res.at("data", "failedCount") != 0.0 {
		t.Errorf("import: %s", res.raw)
	}
	if res := r.do(catalog.RoleService, "PUT", "/api/v1/catalog/backups/b4", `{"storageId":"`+id+`","createdAt":"2024-01-15T10:00:00Z","storagePath":"x/4.backup"}`); res.status != 200 {
		t.Errorf("put: %s", res.raw)
	}
	if res := r.putBackups("storage_never", []string{"b5", "x/5.backup"}); res.at("data", "failedCount") != 1.0 || !strings.Contains(string(res.raw), "line") || !strings.Contains(string(res.raw), "create it first") {
		t.Errorf("a destination that never existed: %s", res.raw)
	}
	if got := r.missing(id); len(got) != 4 {
		t.Errorf("its backups, which nobody can look for: %q", got)
	}
	// What protects, protects on: also from another destination on the bucket.
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		for _, key := range []string{"x/1.backup", "x/2.backup", "x/3.backup", "x/4.backup"} {
			if _, linked, err := tx.Owner("s3//backups-bucket", org, []byte(key)); err != nil || !linked {
				t.Errorf("%q is linked: %v, %v", key, linked, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/linked", "/files", "/files/stats"} {
		if res := r.do(catalog.RoleOwner, "GET", "/api/v1/storage/destinations/"+id+path, ""); res.status != 404 {
			t.Errorf("GET %q: %s", path, res.raw)
		}
	}
	for _, b := range []string{"b1", "b2", "b3", "b4"} {
		r.do(catalog.RoleService, "DELETE", "/api/v1/catalog/backups/"+b, "")
	}
	if list := deleted(); len(list) != 0 {
		t.Errorf("without records: %v", list)
	}
}
