package api

import (
	"net/http"
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestMetricsAreNotPublic: metrics name organizations. Without a token only clients on the same
// machine read them, and no one through a proxy.
func TestMetricsAreNotPublic(t *testing.T) {
	r := newRig(t, mem.Options{})
	get := func(header ...string) *response {
		return r.do(catalog.RoleViewer, "GET", "/metrics", "", append(header, "Authorization", "")...)
	}
	if a := get(); a.status != http.StatusOK {
		t.Errorf("on loopback: %d %s", a.status, a.raw)
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"} {
		get(header, "127.0.0.1").refused(http.StatusUnauthorized, CodeUnauthorized)
	}
	r.server.backend.openMetrics = false
	get().refused(http.StatusUnauthorized, CodeUnauthorized)
	for _, role := range []catalog.Role{catalog.RoleMetrics, catalog.RoleRoot} {
		if a := r.do(role, "GET", "/metrics", ""); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", role, a.status, a.raw)
		}
	}
	r.do(catalog.RoleOwner, "GET", "/metrics", "").refused(http.StatusForbidden, CodeDenied)
}

// TestMetricsTokens belong to no organization.
func TestMetricsTokens(t *testing.T) {
	r := newRig(t, mem.Options{})
	const path = "/api/v1/admin/tokens"
	if a := r.do(catalog.RoleRoot, "POST", path, `{"role":"metrics"}`); a.status != http.StatusCreated {
		t.Errorf("%d %s", a.status, a.raw)
	}
	for _, body := range []string{`{"role":"metrics","organizationId":"org1"}`, `{"role":"viewer"}`} {
		if fields := r.do(catalog.RoleRoot, "POST", path, body).refused(http.StatusBadRequest, CodeValidation); fields["organizationId"] == nil {
			t.Errorf("%s: %v", body, fields)
		}
	}
}
