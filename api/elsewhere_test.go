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

// TestPassedOn: what a node without the shard is asked, one with it answers, as if it had
// been asked itself; and a request is passed on once.
func TestPassedOn(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	path := "/api/v1/storage/destinations/" + id
	var passed []*http.Request
	holder := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		passed = append(passed, q)
		r.server.ServeHTTP(w, q)
	}))
	defer holder.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // of a test
	defer transport.CloseIdleConnections()
	r.elsewhere, r.toElsewhere = strings.TrimPrefix(holder.URL, "https://"), transport

	a := r.do(catalog.RoleOwner, "GET", path+"/files?limit=5", "", "X-Request-Id", "request-1")
	if a.status != 200 || len(passed) != 1 || passed[0].Header.Get("X-Request-Id") != "request-1" || passed[0].URL.RawQuery != "limit=5" {
		t.Fatalf("%d %s, passed on %d times", a.status, a.raw, len(passed))
	}
	for name, values := range a.header {
		if len(values) != 1 {
			t.Errorf("%s is answered %d times", name, len(values))
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
