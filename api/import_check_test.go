package api

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestImportCheck: a check shows what each location becomes, and stores nothing.
func TestImportCheck(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	const path = "/api/v1/catalog/import/check"
	body := strings.Join([]string{
		`{"kind":"backup","id":"b1","storageId":"` + id + `","storagePath":"s3://backups-bucket/backups/production/a.backup","files":["x"]}`,
		`{"kind":"backup","id":"b2","storageId":"` + id + `","storagePath":"s3://elsewhere/a.backup"}`,
		``,
		`{"kind":"pitr","id":"p1","storageId":"` + id + `","prefix":"/wal"}`,
		`{"kind":"backup","id":"b3","storageId":"unknown","storagePath":"a"}`,
		`{"kind":"project","id":"p","name":"n"}`,
		`{`,
	}, "\n")
	a := r.do(catalog.RoleService, "POST", path, body)
	if a.status != 200 || a.at("data", "checkedCount") != 6.0 || a.at("data", "refusedCount") != 3.0 {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	if got := fmt.Sprint(a.at("data", "lines", 0, "locations", 0, "readings", 0)); got != "map[bucket:backups-bucket key:backups/production/a.backup prefix:false]" {
		t.Errorf("the address is read as %s", got)
	}
	if got := fmt.Sprint(a.at("data", "lines", 2, "locations", 0, "readings", 0)); got != "map[bucket:backups-bucket key:backups/production/wal prefix:true]" {
		t.Errorf("the prefix is read as %s", got)
	}
	for i, want := range map[int]string{1: "elsewhere", 3: "unknown", 5: "JSON"} {
		if got := a.at("data", "lines", i, "error").(string); !strings.Contains(got, want) {
			t.Errorf("line %v: %q does not name %q", a.at("data", "lines", i, "line"), got, want)
		}
	}
	// An import counts what it could not resolve.
	second := strings.Split(body, "\n")[1]
	if a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", second); a.at("data", "failedCount") != 1.0 || a.at("data", "unresolvedCount") != 1.0 {
		t.Errorf("import: %s", a.raw)
	}
	if n := testutil.ToFloat64(r.server.backend.metrics.unresolved); n != 1 {
		t.Errorf("%v unresolved records are counted, want 1", n)
	}
	for _, record := range []string{"backups/b1", "pitr/p1", "projects/p"} {
		r.do(catalog.RoleService, "GET", "/api/v1/catalog/"+record, "").refused(http.StatusNotFound, map[bool]Code{true: CodeBackupNotFound, false: CodeNotFound}[record == "backups/b1"])
	}
	many := strings.Repeat(`{"kind":"project","id":"p"}`+"\n", maxChecked+1)
	r.do(catalog.RoleService, "POST", path, many).refused(http.StatusBadRequest, CodeValidation)
	var blank bytes.Buffer
	w := gzip.NewWriter(&blank)
	if _, err := w.Write(bytes.Repeat([]byte("\n"), listLimit+1)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	r.do(catalog.RoleService, "POST", path, blank.String(), "Content-Encoding", "gzip").refused(http.StatusRequestEntityTooLarge, CodeTooLarge)
}

// TestGzipImport: an import may be compressed.
func TestGzipImport(t *testing.T) {
	r := newRig(t, mem.Options{})
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte(`{"kind":"project","id":"p","name":"n"}` + "\n"))
	_ = w.Close()
	const path = "/api/v1/catalog/import"
	if a := r.do(catalog.RoleService, "POST", path, zipped.String(), "Content-Encoding", "gzip"); a.status != 200 || a.at("data", "imported", "projects") != 1.0 {
		t.Errorf("%d %s", a.status, a.raw)
	}
	r.do(catalog.RoleService, "POST", path, "{}", "Content-Encoding", "gzip").refused(http.StatusBadRequest, CodeValidation)
	br := r.do(catalog.RoleService, "POST", path, "{}", "Content-Encoding", "br")
	br.refused(http.StatusUnsupportedMediaType, CodeMediaType)
	other := r.do(catalog.RoleOwner, "POST", "/api/v1/storage/connect", zipped.String(), "Content-Encoding", "gzip")
	other.refused(http.StatusUnsupportedMediaType, CodeMediaType)
	if br.header.Get("Accept-Encoding") != "gzip, identity" || other.header.Get("Accept-Encoding") != "identity" {
		t.Errorf("Accept-Encoding %q and %q", br.header.Get("Accept-Encoding"), other.header.Get("Accept-Encoding"))
	}
	a := r.do(catalog.RoleService, "POST", path, zipped.String()[:zipped.Len()-9], "Content-Encoding", "gzip")
	a.refused(http.StatusBadRequest, CodeValidation)
}

// TestGzipBomb: what a compressed body becomes has a bound.
func TestGzipBomb(t *testing.T) {
	r := newRig(t, mem.Options{})
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = w.Write([]byte(`{"kind":"project","id":"p","name":"n"}` + "\n"))
	_, _ = w.Write(bytes.Repeat([]byte{' '}, freely+1<<20))
	_ = w.Close()
	for _, path := range []string{"/api/v1/catalog/import", "/api/v1/catalog/import/check"} {
		r.do(catalog.RoleService, "POST", path, bomb.String(), "Content-Encoding", "gzip").refused(http.StatusRequestEntityTooLarge, CodeTooLarge)
	}
	if a := r.owner("GET", "/api/v1/storage/stats", ""); a.at("data", "feed", "incomplete") != true {
		t.Errorf("the feed counts as complete: %s", a.raw)
	}
}

// TestRecordsWithoutLocation: a backup that has ended must say where it is, in whichever way
// its record arrives.
func TestRecordsWithoutLocation(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	var lines strings.Builder
	for i, c := range []struct {
		status, location string
		taken            bool
	}{
		{"completed", "", false},
		{"Completed ", "", false},
		{"success", `,"storagePath":"","files":[]`, false},
		{"completed", `,"storagePath":null,"files":null`, false},
		{"completed", `,"storagePath":"backups/production/a.backup"`, true},
		{"completed", `,"files":["backups/production/a.backup"]`, true},
		{"running", "", true},
		{"failed", "", true},
		{"", "", true},
	} {
		body := fmt.Sprintf(`"storageId":%q,"status":%q%s}`, id, c.status, c.location)
		a := r.do(catalog.RoleService, "PUT", fmt.Sprint("/api/v1/catalog/backups/b", i), "\ufeff{"+body)
		if c.taken && a.status != http.StatusOK {
			t.Errorf("%s: %d %s", body, a.status, a.raw)
		}
		if !c.taken {
			if fields := a.refused(http.StatusBadRequest, CodeValidation); fields["storagePath"] == nil {
				t.Errorf("%s: %s", body, a.raw)
			}
		}
		fmt.Fprintf(&lines, `{"kind":"backup","id":"b%d",%s`+"\n", i, body)
	}
	a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", lines.String())
	if a.at("data", "imported", "backups") != 5.0 || a.at("data", "failedCount") != 4.0 || a.at("data", "feed", "refusedRecords") != 4.0 ||
		a.at("data", "errors", 3, "line") != 4.0 || !strings.HasPrefix(a.at("data", "errors", 0, "message").(string), "storagePath is required") {
		t.Errorf("import: %s", a.raw)
	}
	if a = r.do(catalog.RoleService, "POST", "/api/v1/catalog/import/check", lines.String()); a.at("data", "refusedCount") != 4.0 {
		t.Errorf("check: %s", a.raw)
	}
}

// TestPitrPrefixSpellings: a prefix in any spelling protects what is below it.
func TestPitrPrefixSpellings(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	put := func(prefix string) *response {
		return r.do(catalog.RoleService, "PUT", "/api/v1/catalog/pitr/p", `{"storageId":"`+id+`","prefix":"`+prefix+`"}`)
	}
	wal := []byte("backups/production/wal/000000010000000000000001")
	for _, prefix := range []string{
		"backups/production/wal/", "/backups/production/wal/", "wal/", "./wal", "s3://backups-bucket/backups/production/wal/",
		"https://backups-bucket.s3.amazonaws.com/backups/production/w%61l/", "backups-bucket/backups/production/wal", " backups/production/wal/",
	} {
		a := put(prefix)
		if a.status != 200 || a.at("data", "prefix") != prefix {
			t.Errorf("%q: %d %s", prefix, a.status, a.raw)
		}
		if err := r.catalog.View(func(tx *catalog.Tx) error {
			d, err := tx.Destination(org, id)
			if err != nil {
				return err
			}
			all, err := tx.PitrPrefixes(catalog.BucketID(d), org)
			for _, p := range all {
				if bytes.HasPrefix(wal, p) {
					return err
				}
			}
			t.Errorf("%q protects %q only", prefix, all)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if a := r.do(catalog.RoleService, "DELETE", "/api/v1/catalog/pitr/p", ""); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.raw)
		}
		if err := r.catalog.View(func(tx *catalog.Tx) error {
			d, err := tx.Destination(org, id)
			if err != nil {
				return err
			}
			if all, _ := tx.PitrPrefixes(catalog.BucketID(d), org); len(all) > 0 {
				t.Errorf("%q: after the deletion %q remain", prefix, all)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, prefix := range []string{"s3://elsewhere/wal/", "s3://backups-bucket/"} {
		put(prefix).refused(http.StatusBadRequest, CodeValidation)
	}
}
