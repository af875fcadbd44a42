package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/cluster"
	"firescan/provider/mem"
)

// feed returns the state of the feed of the organization.
func (r *rig) feed() map[string]any {
	r.t.Helper()
	state, ok := r.owner("GET", "/api/v1/storage/stats", "").at("data", "feed").(map[string]any)
	if !ok {
		r.t.Fatal("the stats have no feed")
	}
	return state
}

func (r *rig) imports(body string) *response {
	r.t.Helper()
	return r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", body)
}

// TestRefusedLinesMakeTheFeedIncomplete: until each refused record is stored, or a whole
// import has no refused line.
func TestRefusedLinesMakeTheFeedIncomplete(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	if r.feed()["incomplete"] != false {
		t.Fatalf("before the first import: %v", r.feed())
	}
	var good, bad, corrected strings.Builder
	for i := range 10 {
		good.WriteString(line(i, id))
	}
	for i := 10; i < 15; i++ {
		bad.WriteString(line(i, "storage_unknown"))
		corrected.WriteString(line(i, id))
	}
	incomplete := func(want bool, refused float64) {
		t.Helper()
		if f := r.feed(); f["incomplete"] != want || f["refusedRecords"] != refused {
			t.Errorf("feed: %v, want incomplete %v with %v refused records", f, want, refused)
		}
	}
	a := r.imports(good.String() + bad.String())
	if a.at("data", "feed", "incomplete") != true || a.at("data", "feed", "refusedRecords") != 5.0 || !strings.HasPrefix(fmt.Sprint(a.at("data", "feed", "reasons", 0)), "line 11: ") {
		t.Errorf("import: %s", a.raw)
	}
	r.imports(line(99, id)) // a stray one
	incomplete(true, 5)
	r.imports(corrected.String()[:strings.Index(corrected.String(), "\n")+1])
	incomplete(true, 4)
	r.imports(corrected.String())
	incomplete(false, 0)

	r.imports(good.String() + "not json\n" + `{"kind":"backup","id":"far","storageId":"` + id + `","storagePath":"s3://elsewhere/a.backup"}` + "\n")
	if f := r.feed(); f["refusedRecords"] != 2.0 || f["unresolvedRecords"] != 1.0 {
		t.Errorf("feed: %v", f)
	}
	r.imports(good.String())
	incomplete(false, 0)

	// One record, written by itself.
	r.imports(line(20, "storage_unknown"))
	incomplete(true, 1)
	if a := r.do(catalog.RoleService, "PUT", "/api/v1/catalog/backups/bkp_20", strings.TrimSpace(line(20, id))); a.status != http.StatusOK {
		t.Fatalf("put: %s", a.raw)
	}
	incomplete(false, 0)
}

// TestImportsThatEndEarly: an import without an end leaves the feed incomplete.
func TestImportsThatEndEarly(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.imports(line(1, id))
	m := importerTo(r.node)
	m.call.log = r.server.backend.log
	if err := m.add(t.Context(), 1, "backups", (&backupRecord{ID: "b", StorageID: id, StoragePath: "a.backup"}).message(org)); err != nil {
		t.Fatal(err)
	}
	if err := m.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := r.feed(); f["incomplete"] != true || f["runningImports"] != 1.0 { // as a node leaves it that dies here
		t.Errorf("feed: %v", f)
	}
	m.abandon(t.Context(), cluster.ErrNoLeader)
	if f := r.feed(); f["runningImports"] != 1.0 {
		t.Errorf("feed: %v", f)
	}
	m.abandon(t.Context(), errLongLine)
	if f := r.feed(); f["runningImports"] != 0.0 || f["refusedRecords"] != 1.0 {
		t.Errorf("feed: %v", f)
	}
	r.imports(line(1, id))
	if f := r.feed(); f["incomplete"] != false {
		t.Errorf("feed: %v", f)
	}
}
