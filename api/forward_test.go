package api

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestForward: a node without the shard forwards requests to one with it, once, and
// passes on its response.
func TestForward(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	path := "/api/v1/storage/destinations/" + id
	var passed []*http.Request
	holder := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		passed = append(passed, q)
		r.server.ServeHTTP(w, q)
	}))
	defer holder.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // in a test
	defer transport.CloseIdleConnections()
	r.elsewhere, r.toElsewhere = strings.TrimPrefix(holder.URL, "https://"), transport

	a := r.do(catalog.RoleOwner, "GET", path+"/files?limit=5", "", "X-Request-Id", "request-1")
	if a.status != 200 || len(passed) != 1 || passed[0].Header.Get("X-Request-Id") != "request-1" || passed[0].URL.RawQuery != "limit=5" {
		t.Fatalf("%d %s, passed on %d times", a.status, a.raw, len(passed))
	}
	for name, values := range a.header {
		if len(values) != 1 {
			t.Errorf("header %s is set %d times", name, len(values))
		}
	}
	r.do(catalog.RoleViewer, "GET", path+"/files/stats", "")
	r.do("", "GET", path+"/files", "").refused(401, CodeUnauthorized)
	r.do(catalog.RoleOwner, "GET", path, "")
	if len(passed) != 2 {
		t.Errorf("%d requests were passed on, want the two that read the shard and may", len(passed))
	}

	holder.Close()
	if e := r.do(catalog.RoleOwner, "GET", path+"/files", ""); e.status != 503 || e.header.Get("Retry-After") == "" {
		t.Errorf("a holder that died: %d %s", e.status, e.raw)
	}
}
