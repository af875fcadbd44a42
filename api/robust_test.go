package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// A key that decoding changed would name another file, and the real one would count as
// an orphan: both ways in refuse such records.
func TestInexactKeysAreRefused(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for i, c := range []struct {
		path string
		want string // empty: refused
	}{
		{"a/\xe9.backup", ""},
		{`a/\ud800.backup`, ""},
		{`a/\udc00\ud800.backup`, ""},
		{`a/\ud800\u0041.backup`, ""},
		{`a/\ud83d\ude00.backup`, "a/😀.backup"},
		{`a/\\ud800.backup`, `a/\ud800.backup`},
		{`a/\ufffd.backup`, "a/\ufffd.backup"},
	} {
		name := fmt.Sprintf("b%d", i)
		body := fmt.Sprintf(`{"id":%q,"storageId":%q,"storagePath":"%s"}`, name, id, c.path)
		put := r.do(catalog.RoleService, "PUT", "/api/v1/catalog/backups/"+name, body)
		line := strings.Replace(body, "{", `{"kind":"backup",`, 1)
		imported := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", line+"\n")
		var stored *pb.Backup
		err := r.catalog.View(func(tx *catalog.Tx) (err error) {
			stored, err = tx.Backup(org, name)
			return err
		})
		if c.want == "" {
			put.refused(http.StatusBadRequest, CodeValidation)
			if n := imported.at("data", "failedCount"); n != 1.0 || !errors.Is(err, catalog.ErrNotFound) {
				t.Errorf("%q: %v lines were refused, the catalog has %v", c.path, n, stored)
			}
			continue
		}
		if err != nil || string(stored.StoragePath) != c.want {
			t.Errorf("%q became %q: %v", c.path, stored.GetStoragePath(), err)
		}
	}
}

func FuzzExact(f *testing.F) {
	for _, s := range []string{`"a"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\\ud83d"`, "\"\xff\"", `"\u00e9\udfff"`, `"\ud83d\ud83d\ude00"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var v string
		if json.Unmarshal([]byte(s), &v) != nil {
			return // not a JSON string
		}
		// A replacement character that was not in the input was put in by
		// encoding/json.
		written := strings.Count(s, "\ufffd") + countEscaped(s)
		changed := !utf8.ValidString(s) || strings.Count(v, "\ufffd") > written
		if refused := exact([]byte(s)) != nil; refused != changed {
			t.Errorf("%q is decoded as %q: refused %v", s, v, refused)
		}
	})
}

// countEscaped counts the escapes of U+FFFD itself.
func countEscaped(s string) (n int) {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if i+6 <= len(s) && strings.EqualFold(s[i:i+6], `\ufffd`) {
			n++
		}
		i++
	}
	return n
}

// TestFieldsGivenTwiceAreRefused: the last one would count, and what the first one names would
// be an orphan.
func TestFieldsGivenTwiceAreRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"files":["a"],"files":["b"]}`:                        "files",
		`{"files":["a"],"fil\u0065s":["b"]}`:                   "files",
		`{"storagePath":"a", "size":1, "StoragePath" : "b"}`:   "StoragePath",
		`{"storagePath":"files","files":["files","files"]}`:    "",
		`{"a":{"b":1},"c":{"b":1},"b":"\"b\":","d":["b","b"]}`: "",
		`{}`: "",
	} {
		if name, twice := givenTwice([]byte(body)); name != want || twice != (want != "") {
			t.Errorf("%s: %q, %v; want %q", body, name, twice, want)
		}
	}
	r := newRig(t, mem.Options{})
	path := "/api/v1/catalog/backups/b1"
	if a := r.do(catalog.RoleService, "PUT", path, `{"storageId":"`+r.destination()+`","status":"completed","createdAt":"2024-01-15T10:00:00Z","files":["a"],"files":["b"]}`); a.status != 400 || !strings.Contains(string(a.raw), "files") {
		t.Errorf("files given twice: %d %s", a.status, a.raw)
	}
}

func TestOnlyThoseWhoMaySyncMayForce(t *testing.T) {
	r := newRig(t, mem.Options{})
	d := "/api/v1/storage/destinations/" + r.destination()
	for _, path := range []string{"/api/v1/storage/stats", d + "/files", d + "/files/stats"} {
		r.do(catalog.RoleViewer, "GET", path+"?force=true", "").refused(http.StatusForbidden, CodeDenied)
		if a := r.do(catalog.RoleViewer, "GET", path, ""); a.status != http.StatusOK {
			t.Errorf("%s without force: %d", path, a.status)
		}
	}
	if n := len(r.owner("GET", "/api/v1/storage/syncs", "").at("data", "syncs").([]any)); n != 0 {
		t.Errorf("a viewer started %d syncs", n)
	}
}

// A missing index must not read as an empty bucket.
func TestLostShardIsNotAnEmptyBucket(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	d := "/api/v1/storage/destinations/" + id
	r.fill(id, []index.Entry{{Path: []byte("backups/production/a.backup"), Size: 9, ModTime: 1e12, Type: index.Backup}})
	r.viewErr = index.ErrNoShard
	for _, path := range []string{"/api/v1/storage/stats", d + "/files", d + "/files/stats", d + "/files/export", d + "/backups?missing=true"} {
		r.do(catalog.RoleOwner, "GET", path, "").refused(http.StatusServiceUnavailable, CodeIndexUnavailable)
	}
}

func TestErrorsOfOtherRooms(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Code
	}{
		{catalog.ErrConflict, CodeConflict},
		{fmt.Errorf("propose: %w", context.DeadlineExceeded), CodeNoLeader},
		{clientGone(&net.OpError{Op: "write", Err: io.ErrClosedPipe}), codeClientClosed},
	} {
		if got := toError(t.Context(), c.err).Code; got != c.want {
			t.Errorf("%v maps to %s, want %s", c.err, got, c.want)
		}
	}
}

func TestAllowNamesWhatIsAnswered(t *testing.T) {
	r := newRig(t, mem.Options{})
	for path, want := range map[string]string{
		"/api/v1/storage/destinations": "GET, HEAD, OPTIONS, POST", "/api/v1/storage/connect": "OPTIONS, POST", "/healthz": "GET, HEAD, OPTIONS",
	} {
		a := r.do(catalog.RoleOwner, "PATCH", path, "")
		if allow := a.header.Get("Allow"); allow != want || a.at("error", "message") != "PATCH is not allowed for this endpoint; allowed: "+want {
			t.Errorf("%s: Allow: %q, %s", path, allow, a.raw)
		}
	}
	r.do(catalog.RoleOwner, "PUT", "/api/v1/storage/destinations/"+r.destination(), "null").refused(http.StatusBadRequest, CodeValidation)
}

// TestProbesWithHEAD: load balancers need the status only.
func TestProbesWithHEAD(t *testing.T) {
	r := newRig(t, mem.Options{})
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, r.http.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, res.StatusCode)
		}
	}
}
