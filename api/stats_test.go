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
	var ids []string
	var files, size, orphans, orphanSize int64
	for i := range 2 {
		id := r.destination()
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
		{"data", "lastFullSyncAt"}:      "2026-05-01T12:00:00Z", // of the older one
		{"meta", "lastSyncAt"}:          "2026-05-01T13:00:00Z", // the newest
		{"data", "nextScheduledSyncAt"}: "2026-05-02T12:00:00Z", // the earliest
		{"meta", "nextScheduledSyncAt"}: "2026-05-02T12:00:00Z",
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
