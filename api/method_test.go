package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestHeadAndOptions: every GET has a HEAD without a body, and every path OPTIONS.
func TestHeadAndOptions(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for _, route := range r.server.routes() {
		path := strings.ReplaceAll(route.path, ":id", id)
		a := plainRequest(t, r, http.MethodOptions, path)
		if allow := a.Header.Get("Allow"); a.StatusCode != http.StatusNoContent || !strings.Contains(allow, route.method) {
			t.Errorf("OPTIONS %s: %d, Allow %q", path, a.StatusCode, allow)
		}
		if route.method != http.MethodGet || route.access != Read && route.access != Public {
			continue
		}
		if path == "/api/v1/storage/syncs/"+id {
			continue // there is none
		}
		if slices.Contains(parameters(route.method, route.path), "force") {
			path += "?force=true"
		}
		if a := plainRequest(t, r, http.MethodHead, path); a.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, a.StatusCode)
		}
	}
	if a := r.do(catalog.RoleViewer, "GET", "/api/v1/storage/syncs", ""); len(a.at("data", "syncs").([]any)) > 0 {
		t.Errorf("HEAD with force=true started a sync: %s", a.raw)
	}
}

// plainRequest makes a request that the OpenAPI document does not list.
func plainRequest(t *testing.T, r *rig, method, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.http.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens[catalog.RoleOwner])
	req.Header.Set("X-Organization-Id", org)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	_ = res.Body.Close()
	return res
}

func TestTrailingSlash(t *testing.T) {
	r := newRig(t, mem.Options{})
	if res := plainRequest(t, r, http.MethodGet, "/api/v1/storage/destinations/"); res.StatusCode != http.StatusOK {
		t.Errorf("GET with a slash: %d", res.StatusCode)
	}
	for _, path := range []string{"/api/v1/storage/destinations//", "/api/v1/storage/destinations/a%2F", "/"} {
		if res := plainRequest(t, r, http.MethodGet, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, res.StatusCode)
		}
	}
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/destinations/", `{}`).refused(400, CodeValidation)
}

func TestContentTypes(t *testing.T) {
	r := newRig(t, mem.Options{})
	const path, lines = "/api/v1/storage/destinations", "/api/v1/catalog/import"
	for _, given := range []string{"text/plain;charset=UTF-8", "application/xml", "multipart/form-data; boundary=x", "x"} {
		a := r.do(catalog.RoleOwner, "POST", path, createBody, "Content-Type", given)
		a.refused(http.StatusUnsupportedMediaType, CodeMediaType)
		if !strings.HasPrefix(a.header.Get("Accept"), "application/json") {
			t.Errorf("%s: Accept %q", given, a.header.Get("Accept"))
		}
	}
	for _, given := range []string{"", "application/json", "Application/JSON; charset=utf-8", "application/x-www-form-urlencoded"} {
		r.do(catalog.RoleOwner, "POST", path, "{}", "Content-Type", given).refused(400, CodeValidation)
	}
	r.do(catalog.RoleService, "POST", lines, "{}", "Content-Type", "application/xml").refused(415, CodeMediaType)
}
