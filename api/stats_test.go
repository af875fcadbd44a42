package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/index"
	"firescan/provider/mem"
)

// TestStatsOfSeveralDestinations sums up two that were synced at different times, and
// one that never was.
func TestStatsOfSeveralDestinations(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.account.Fill("bucket-1", 1, r.now)
	var ids []string
	var files, size, orphans, orphanSize int64
	for i := range 2 {
		body := createBody
		if i > 0 {
			body = strings.Replace(createBody, "backups-bucket", fmt.Sprint("bucket-", i), 1)
		}
		id := r.owner("POST", "/api/v1/storage/destinations", body).at("data", "id").(string)
		ids = append(ids, id)
		r.owner("POST", "/api/v1/storage/destinations/"+id+"/verify", "")
		entries := someFiles(r, id, 40+i)
		r.fill(id, entries)
		for _, e := range entries {
			files++
			size += e.Size
			if !e.Linked {
				orphans++
				orphanSize += e.Size
			}
		}
		r.now = r.now.Add(time.Hour)
	}
	a := r.owner("GET", "/api/v1/storage/stats", "")
	totals := map[string]any{
		"totalDestinations": 2.0, "totalFiles": float64(files), "totalSize": fmt.Sprint(size), "orphanFiles": float64(orphans), "orphanSize": fmt.Sprint(orphanSize),
	}
	for key, want := range totals {
		if got := a.at("data", "totals", key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	for path, want := range map[[2]string]any{
		{"data", "lastFullSyncAt"}:      "2026-05-01T12:00:00.000Z", // of the older one
		{"meta", "lastSyncAt"}:          "2026-05-01T13:00:00.000Z", // the newest
		{"data", "nextScheduledSyncAt"}: "2026-05-02T12:00:00.000Z", // the earliest
		{"meta", "nextScheduledSyncAt"}: "2026-05-02T12:00:00.000Z",
		{"meta", "isSyncing"}:           false,
		{"meta", "needsSync"}:           false,
	} {
		if got := a.at(path[0], path[1]); got != want {
			t.Errorf("%v is %v, want %v", path, got, want)
		}
	}
	r.destination()
	r.owner("POST", "/api/v1/storage/sync?destinationId="+ids[0], "")
	a = r.owner("GET", "/api/v1/storage/stats", "")
	if a.at("data", "lastFullSyncAt") != nil || a.at("meta", "needsSync") != true || a.at("meta", "isSyncing") != true ||
		a.at("data", "totals", "totalDestinations") != 3.0 || a.at("data", "totals", "totalFiles") != float64(files) {
		t.Errorf("with one that was never synced and one that is being: %s", a.raw)
	}
}

// TestStatsCountEachFileOnce: three destinations on one bucket of ten files show ten, whichever of
// them were synced.
func TestStatsCountEachFileOnce(t *testing.T) {
	r := newRig(t, mem.Options{})
	var entries []index.Entry
	for i := range 10 {
		path := fmt.Sprintf("backups/production/deep/f%d.backup", i)
		if i < 4 {
			path = fmt.Sprintf("backups/f%d.backup", i)
		}
		entries = append(entries, index.Entry{Path: []byte(path), Size: 100, Linked: i%2 == 0, Type: index.Backup})
	}
	create := func(path string) string {
		body := strings.Replace(createBody, "/backups/production/", path, 1)
		return r.owner("POST", "/api/v1/storage/destinations", body).at("data", "id").(string)
	}
	inner, outer, equal := create("backups/production"), create(""), create("/backups/production/")
	check := func(step string, files, orphans float64, countedIn map[string]any) {
		t.Helper()
		a := r.owner("GET", "/api/v1/storage/stats", "")
		if got := a.at("data", "totals", "totalFiles"); got != files {
			t.Errorf("%s: %v files, want %v", step, got, files)
		}
		if got := a.at("data", "totals", "orphanFiles"); got != orphans {
			t.Errorf("%s: %v orphans, want %v", step, got, orphans)
		}
		if got := a.at("data", "totals", "totalSize"); got != fmt.Sprint(files*100) {
			t.Errorf("%s: size %v", step, got)
		}
		for i := range 3 {
			id := a.at("data", "destinations", i, "id").(string)
			if got := a.at("data", "destinations", i, "countedIn"); got != countedIn[id] {
				t.Errorf("%s: %s is counted in %v, want %v", step, id, got, countedIn[id])
			}
		}
		if got := a.at("data", "overlaps", 0, "storageIds").([]any); len(got) != 3 || got[0] != outer {
			t.Errorf("%s: overlaps %v", step, got)
		}
	}
	check("never synced", 0, 0, nil)
	r.fill(inner, entries[4:])
	check("one nested destination synced", 6, 3, map[string]any{equal: inner})
	r.now = r.now.Add(time.Hour)
	r.fill(equal, entries[5:]) // one file was deleted meanwhile
	check("the newer of two equal ones counts", 5, 3, map[string]any{inner: equal})
	r.fill(outer, entries)
	check("all synced", 10, 5, map[string]any{inner: outer, equal: outer})
	update, err := r.server.Stats(t.Context(), org)
	if err != nil || update.Totals.TotalFiles != 10 || len(update.Overlaps) != 1 {
		t.Errorf("the event has %+v, %v", update, err)
	}
}

// TestCorruptIndex reads a truncated segment: no result is better than a wrong one, and
// other destinations still work.
func TestCorruptIndex(t *testing.T) {
	r := newRig(t, mem.Options{})
	torn, whole := r.destination(), r.destination()
	r.fill(torn, someFiles(r, torn, 300))
	r.corrupt(torn)
	r.fill(whole, []index.Entry{{Path: []byte("backups/production/a"), Size: 1}})
	for _, path := range []string{"/files", "/files/stats", "/files/export?format=csv", "/backups?missing=true"} {
		a := r.do(catalog.RoleViewer, "GET", "/api/v1/storage/destinations/"+torn+path, "")
		a.refused(503, CodeIndexUnavailable)
		if a.header.Get("Retry-After") == "" || strings.Contains(string(a.raw), "seg") {
			t.Errorf("%s: 503 without Retry-After, or with inner matters: %v %s", path, a.header, a.raw)
		}
		if a := r.do(catalog.RoleViewer, "GET", "/api/v1/storage/destinations/"+whole+path, ""); a.status != 200 {
			t.Errorf("%s of the other: %d %s", path, a.status, a.raw)
		}
	}
	// The catalog has the records, and is intact.
	r.owner("GET", "/api/v1/storage/destinations/"+torn+"/backups?limit=1", "")
}
