package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestParametersAreDescribed compares the parameters of routes with the OpenAPI
// document.
func TestParametersAreDescribed(t *testing.T) {
	data, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	type parameter struct {
		Ref  string `json:"$ref"`
		Name string
		In   string
	}
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Parameters map[string]parameter }
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	queries := func(raw json.RawMessage) (names []string) {
		var list []parameter
		if err := json.Unmarshal(raw, &list); err != nil && raw != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if p.Ref != "" {
				p = doc.Components.Parameters[p.Ref[strings.LastIndexByte(p.Ref, '/')+1:]]
			}
			if p.In == "query" {
				names = append(names, p.Name)
			}
		}
		return names
	}
	for _, r := range (&Server{}).routes() {
		if r.access == Public {
			continue
		}
		item := doc.Paths[strings.ReplaceAll(r.path, ":id", "{id}")]
		var operation struct{ Parameters json.RawMessage }
		if err := json.Unmarshal(item[strings.ToLower(r.method)], &operation); err != nil {
			t.Fatalf("%s %s: %v", r.method, r.path, err)
		}
		described := append(queries(item["parameters"]), queries(operation.Parameters)...)
		taken := slices.Clone(parameters(r.method, r.path))
		slices.Sort(described)
		slices.Sort(taken)
		if !slices.Equal(described, taken) {
			t.Errorf("%s %s takes %q, described are %q", r.method, r.path, taken, described)
		}
	}
}

// TestUnknownParameters: mutations refuse unknown parameters, requests that only read
// ignore them; both refuse what looks like a misspelt parameter of theirs.
func TestUnknownParameters(t *testing.T) {
	r := newRig(t, mem.Options{})
	for _, route := range (&Server{}).routes() {
		if route.access == Public || route.path == "/api/v1/storage/events" {
			continue
		}
		path := strings.ReplaceAll(route.path, ":id", "some-id")
		for name, meant := range misspelt(route.method, route.path) {
			if route.method == "GET" && meant == "" {
				if a := r.do(roleFor(route.access), route.method, path+"?"+name+"=1", ""); a.status == 400 {
					t.Errorf("%s %s with an unknown parameter: %s", route.method, path, a.raw)
				}
				continue
			}
			f := r.do(roleFor(route.access), route.method, path+"?"+name+"=1", "{}").refused(400, CodeValidation)
			if problem, _ := f[name].(string); problem == "" || !strings.Contains(problem, meant) {
				t.Errorf("%s %s: fields %v, want %s suggested for %s", route.method, path, f, meant, name)
			}
		}
	}
	if a := r.do(catalog.RoleViewer, "GET", "/healthz?probe=1", ""); a.status != 200 {
		t.Errorf("a probe's own parameter: %d", a.status)
	}
}

// misspelt returns misspelt parameters of a route with what is meant, and one that resembles
// none.
func misspelt(method, path string) map[string]string {
	names := map[string]string{"utm-source": ""}
	for _, p := range parameters(method, path) {
		names[strings.ToUpper(p)] = p
		names[p[:len(p)-1]] = p
		names[p[:1]+"_"+p[1:]] = p
	}
	return names
}

// TestEmptyDestination: a script whose variable is empty must not sync everything.
func TestEmptyDestination(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.destination()
	for _, method := range []string{"GET", "POST"} {
		path := map[string]string{"GET": "/api/v1/storage/syncs", "POST": "/api/v1/storage/sync"}[method]
		if f := r.do(catalog.RoleMember, method, path+"?destinationId=", "").refused(400, CodeValidation); f["destinationId"] == nil {
			t.Errorf("%s %s: fields %v", method, path, f)
		}
	}
}

// TestUnexpectedBodies: a destination in the body of a sync, not in the query, must not
// start the syncs of all destinations.
func TestUnexpectedBodies(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for path, role := range map[string]catalog.Role{
		"/api/v1/storage/sync": catalog.RoleMember, "/api/v1/storage/destinations/" + id + "/verify": catalog.RoleMember,
		"/api/v1/storage/destinations/" + id + "/cleanup-orphans": catalog.RoleOwner, "/api/v1/admin/keys/rotate": catalog.RoleRoot,
	} {
		for _, body := range []string{`{"destinationId":"` + id + `"}`, `destinationId=x`, `[]`, `null`} {
			if f := r.do(role, "POST", path, body).refused(400, CodeValidation); f["body"] == nil {
				t.Errorf("%s with the body %s: fields %v", path, body, f)
			}
		}
		if path == "/api/v1/storage/destinations/"+id+"/cleanup-orphans" {
			continue // covered by another test
		}
		for _, body := range []string{``, ` {} `} {
			if a := r.do(role, "POST", path, body); a.status != 200 {
				t.Errorf("%s with the body %q: %d %s", path, body, a.status, a.raw)
			}
		}
	}
}
