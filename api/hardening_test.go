package api

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/provider/mem"
)

// bodied returns the routes that read a body.
func bodied() []route {
	var list []route
	for _, route := range (&Server{}).routes() {
		if (route.method == "POST" || route.method == "PUT") && route.timeout != noTimeout {
			list = append(list, route)
		}
	}
	return list
}

// roleFor returns a role that may use a route.
func roleFor(access Access) catalog.Role {
	for _, role := range []catalog.Role{catalog.RoleOwner, catalog.RoleService, catalog.RoleRoot} {
		if access.Allows(role) {
			return role
		}
	}
	return ""
}

// TestLargeBodies sends 10 MB to every endpoint, with and without a length: each is
// refused, and not kept in memory.
func TestLargeBodies(t *testing.T) {
	r := newRig(t, mem.Options{})
	large := `{"name":"` + strings.Repeat("x", 10<<20) + `"}`
	send := func(route route, body io.Reader) {
		req, err := http.NewRequestWithContext(t.Context(), route.method, r.http.URL+strings.ReplaceAll(route.path, ":id", "some-id"), body)
		if err != nil {
			t.Fatal(err)
		}
		role := roleFor(route.access)
		req.Header.Set("Authorization", "Bearer "+r.tokens[role])
		if role != catalog.RoleRoot {
			req.Header.Set("X-Organization-Id", org)
		}
		req.Header.Set("Idempotency-Key", "large") // so that every endpoint reads the body
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusRequestEntityTooLarge && route.method == "POST" {
			t.Errorf("%s %s: %d, %v", route.method, route.path, res.StatusCode, err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for _, route := range bodied() {
		send(route, strings.NewReader(large))
		send(route, io.MultiReader(strings.NewReader(large))) // of unknown length
		n += 2
	}
	runtime.ReadMemStats(&after)
	// Reading a body up to the limit allocates some MB in a growing buffer; reading all
	// of it would allocate about ten times as much.
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(n); each > 12<<20 {
		t.Errorf("each body of 10 MB took %d MB", each>>20)
	}
}

func TestDeepJSON(t *testing.T) {
	r := newRig(t, mem.Options{})
	for _, deep := range []string{
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), `{"name":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + "}",
		`{"credentials":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40) + "}",
	} {
		for _, route := range bodied() {
			path := strings.ReplaceAll(route.path, ":id", "some-id")
			a := r.do(roleFor(route.access), route.method, path, deep)
			if a.status >= 500 || a.status < 300 && strings.Contains(string(a.raw), "nested") {
				t.Errorf("%s %s: %d %s", route.method, path, a.status, a.raw)
			}
		}
		if f := r.do(catalog.RoleOwner, "POST", destinationsPath, deep).refused(400, CodeValidation); f["body"] != "is nested too deeply" {
			t.Errorf("%.20s: %v", deep, f)
		}
		a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", `{"kind":"project","id":"p","name":"P"}`+"\n"+deep+"\n")
		if a.status != 200 || a.at("data", "failedCount") != 1.0 {
			t.Errorf("import: %d %.200s", a.status, a.raw)
		}
	}
}

func TestDeeper(t *testing.T) {
	for _, c := range []struct {
		json string
		most int
		want bool
	}{
		{`{}`, 0, true},
		{`{}`, 1, false},
		{`[[]]`, 1, true},
		{`[[]]`, 2, false},
		{`[[],[],[]]`, 2, false},
		{`["[[[["]`, 1, false},
		{`["\"[[[["]`, 1, false},
		{`["\\",[[]]]`, 2, true},
		{`["\\",[]]`, 2, false},
		{`"`, 0, false},
		{`"\`, 0, false},
	} {
		if got := deeper([]byte(c.json), c.most); got != c.want {
			t.Errorf("%s is deeper than %d: %v", c.json, c.most, got)
		}
	}
}

// TestHostileAddresses uses invalid ids in every path.
func TestHostileAddresses(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.server.Close() // so that event streams end at once
	for _, id := range []string{
		"..", ".", "%2e%2e", "%2E%2E%2f..", "%00", "a%00b", "%5c..%5c", "%ff", "%c0%ae", "%ed%a0%80", "%0d%0aX:%20y", strings.Repeat("a", 5000), "%F0%9F%98%80",
	} {
		for _, route := range (&Server{}).routes() {
			if !strings.Contains(route.path, ":id") {
				continue
			}
			role := roleFor(route.access)
			for _, body := range []string{"{}", `{"targetStorageId":"x","name":"x","storageId":"x","prefix":"p/"}`} {
				a := r.do(role, route.method, strings.ReplaceAll(route.path, ":id", id), body)
				if a.status != 400 && a.status != 404 && a.status != 405 || a.at("success") != false {
					t.Errorf("%s %s with %.20q: %d %.300s", route.method, route.path, id, a.status, a.raw)
				}
			}
		}
	}
}

// deadlines is a ResponseWriter that records the read deadlines.
type deadlines struct {
	http.ResponseWriter
	read []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = append(d.read, t)
	return nil
}

func (d *deadlines) SetWriteDeadline(time.Time) error { return nil }

// TestBodiesHaveDeadlines: no endpoint waits for a body without a deadline.
func TestBodiesHaveDeadlines(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.server.Close()
	for _, route := range (&Server{}).routes() {
		for _, token := range []string{r.tokens[roleFor(route.access)], "fsk_unknown"} {
			began := time.Now()
			w := &deadlines{ResponseWriter: httptest.NewRecorder()}
			req := httptest.NewRequestWithContext(t.Context(), route.method, strings.ReplaceAll(route.path, ":id", "some-id"), bytes.NewReader([]byte("{}")))
			req.Header.Set("Authorization", "Bearer "+token)
			if route.access.OfOrganization() {
				req.Header.Set("X-Organization-Id", org)
			}
			r.server.ServeHTTP(w, req)
			if len(w.read) == 0 || w.read[0].IsZero() || w.read[0].After(began.Add(route.timeout+2*slowClient)) {
				t.Errorf("%s %s: read deadlines %v", route.method, route.path, w.read)
			}
		}
	}
}

func TestHostileQueries(t *testing.T) {
	r := newRig(t, mem.Options{})
	d := destinationsPath + "/" + r.destination()
	for _, path := range []string{d + "/files", d + "/files/export", d + "/files/stats", d + "/backups", "/api/v1/storage/syncs", "/api/v1/storage/stats"} {
		for _, value := range []string{"%00", "%ff", "..%2f", "-1", "1e9", "99999999999999999999", "%F0%9F", strings.Repeat("9", 2000), "%5B%5D", "true%00"} {
			for _, name := range []string{"limit", "cursor", "prefix", "type", "minAge", "force", "orphansOnly", "missing", "format", "destinationId", "consistency"} {
				if a := r.do(catalog.RoleOwner, "GET", fmt.Sprintf("%s?%s=%s", path, name, value), ""); a.status >= 500 {
					t.Errorf("%s?%s=%.20s: %d %.200s", path, name, value, a.status, a.raw)
				}
			}
		}
	}
}
