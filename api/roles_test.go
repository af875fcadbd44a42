package api

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/provider/mem"
)

// The roles of design §6, by permission.
var (
	readers  = []catalog.Role{catalog.RoleViewer, catalog.RoleMember, catalog.RoleAdmin, catalog.RoleOwner}
	editors  = readers[1:]
	removers = readers[2:]
	feeders  = []catalog.Role{catalog.RoleService}
	roots    = []catalog.Role{catalog.RoleRoot}
)

// may lists the roles that may use each endpoint, written by hand and not derived from
// the table of routes.
var may = map[string][]catalog.Role{
	"POST /api/v1/storage/connect":                              editors,
	"POST /api/v1/storage/buckets/create":                       editors,
	"POST /api/v1/storage/buckets/verify":                       editors,
	"POST /api/v1/storage/buckets/folders":                      editors,
	"POST /api/v1/storage/buckets/folders/create":               editors,
	"GET /api/v1/storage/destinations":                          readers,
	"POST /api/v1/storage/destinations":                         editors,
	"GET /api/v1/storage/destinations/:id":                      readers,
	"PUT /api/v1/storage/destinations/:id":                      editors,
	"DELETE /api/v1/storage/destinations/:id":                   removers,
	"POST /api/v1/storage/destinations/:id/verify":              editors,
	"POST /api/v1/storage/destinations/:id/migrate":             removers,
	"GET /api/v1/storage/destinations/:id/linked":               readers,
	"GET /api/v1/storage/destinations/:id/backups":              readers,
	"GET /api/v1/storage/destinations/:id/files":                readers,
	"GET /api/v1/storage/destinations/:id/files/stats":          readers,
	"GET /api/v1/storage/destinations/:id/files/export":         readers,
	"DELETE /api/v1/storage/destinations/:id/files":             removers,
	"POST /api/v1/storage/destinations/:id/files/bulk-delete":   removers,
	"POST /api/v1/storage/destinations/:id/backups/bulk-delete": removers,
	"POST /api/v1/storage/destinations/:id/cleanup-orphans":     removers,
	"GET /api/v1/storage/audit":                                 append(roots, removers...),
	"GET /api/v1/storage/stats":                                 readers,
	"POST /api/v1/storage/sync":                                 editors,
	"GET /api/v1/storage/syncs":                                 readers,
	"GET /api/v1/storage/syncs/:id":                             readers,
	"DELETE /api/v1/storage/syncs/:id":                          editors,
	"GET /api/v1/storage/events":                                readers,
	"POST /api/v1/catalog/import":                               feeders,
	"POST /api/v1/catalog/import/check":                         feeders,
	"GET /api/v1/catalog/projects/:id":                          append(feeders, readers...),
	"PUT /api/v1/catalog/projects/:id":                          feeders,
	"DELETE /api/v1/catalog/projects/:id":                       feeders,
	"GET /api/v1/catalog/backups/:id":                           append(feeders, readers...),
	"PUT /api/v1/catalog/backups/:id":                           feeders,
	"DELETE /api/v1/catalog/backups/:id":                        feeders,
	"GET /api/v1/catalog/schedules/:id":                         append(feeders, readers...),
	"PUT /api/v1/catalog/schedules/:id":                         feeders,
	"DELETE /api/v1/catalog/schedules/:id":                      feeders,
	"GET /api/v1/catalog/pitr/:id":                              append(feeders, readers...),
	"PUT /api/v1/catalog/pitr/:id":                              feeders,
	"DELETE /api/v1/catalog/pitr/:id":                           feeders,
	"GET /api/v1/admin/tokens":                                  roots,
	"POST /api/v1/admin/tokens":                                 roots,
	"DELETE /api/v1/admin/tokens/:id":                           roots,
	"POST /api/v1/admin/keys/rotate":                            roots,
	"POST /api/v1/admin/secret/rotate":                          roots,
	"GET /api/v1/admin/cluster":                                 roots,
	"DELETE /api/v1/admin/cluster/:id":                          roots,
	"GET /api/v1/openapi.json":                                  nil, // everybody
	"GET /healthz":                                              nil,
	"GET /readyz":                                               nil,
	"GET /metrics":                                              {catalog.RoleMetrics, catalog.RoleRoot},
}

// addExpired creates an expired token of the organization's owner.
func (r *rig) addExpired() string {
	plain := catalog.NewToken()
	r.propose(&pb.PutToken{Token: &pb.Token{
		Id: "tok_expired", Hash: catalog.HashToken(plain), Org: org, Role: string(catalog.RoleOwner), CreatedAt: 1, ExpiresAt: r.now.UnixMilli(),
	}})
	return plain
}

// TestRoles calls every endpoint with every role.
func TestRoles(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.server.backend.openMetrics = false
	expired := r.addExpired()
	r.server.Close() // so that event streams end at once
	if n := len(r.server.routes()); n != len(may) {
		t.Errorf("%d endpoints, and rights of %d", n, len(may))
	}
	for _, route := range (&Server{}).routes() {
		path := strings.ReplaceAll(route.path, ":id", "some-id")
		name := route.method + " " + route.path
		allowed, known := may[name]
		if !known {
			t.Errorf("%s: nobody said who may", name)
			continue
		}
		if allowed == nil {
			if a := r.do(catalog.RoleViewer, route.method, path, "", "Authorization", ""); a.status != 200 {
				t.Errorf("%s as nobody: %d", name, a.status)
			}
			continue
		}
		for _, auth := range []string{"", "Bearer", "Bearer fsk_unknown", "Bearer " + expired, "Basic dXNlcjpwYXNz"} {
			a := r.do(catalog.RoleViewer, route.method, path, "{}", "Authorization", auth)
			a.refused(401, CodeUnauthorized)
			if a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: 401 without WWW-Authenticate", name)
			}
		}
		for _, role := range catalog.Roles() {
			a := r.do(role, route.method, path, "{}")
			if slices.Contains(allowed, role) {
				if a.status == 401 || a.status == 403 {
					t.Errorf("%s as %s: %d %s", name, role, a.status, a.raw)
				}
			} else {
				a.refused(403, CodeDenied)
			}
			if role.OfOrganization() && slices.Contains(allowed, role) {
				r.do(role, route.method, path, "{}", "X-Organization-Id", "org2").refused(403, CodeDenied)
				r.do(role, route.method, path, "{}", "X-Organization-Id", "").refused(400, CodeValidation)
			}
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.do(catalog.RoleOwner, "GET", "/api/v1/storage/nothing", "").refused(404, CodeNotFound)
	r.do(catalog.RoleOwner, "GET", "/", "").refused(404, CodeNotFound)
	a := r.do(catalog.RoleOwner, "PATCH", "/api/v1/storage/destinations", "")
	a.refused(405, CodeMethod)
	if allow := a.header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "POST") {
		t.Errorf("405 allows %q", allow)
	}
}

func TestRequestIDs(t *testing.T) {
	r := newRig(t, mem.Options{})
	if id := r.do(catalog.RoleViewer, "GET", "/healthz", "", "X-Request-Id", "my-id_1.2").header.Get("X-Request-Id"); id != "my-id_1.2" {
		t.Errorf("a sane request id became %q", id)
	}
	for _, bad := range []string{"a b", strings.Repeat("x", 65), "<script>"} {
		if id := r.do(catalog.RoleViewer, "GET", "/healthz", "", "X-Request-Id", bad).header.Get("X-Request-Id"); id == bad || id == "" {
			t.Errorf("the request id %q became %q", bad, id)
		}
	}
}

func TestNoLeader(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.replog.Fail(fmt.Errorf("wrapped: %w", cluster.ErrNoLeader))
	for _, path := range []string{"/readyz", "/api/v1/storage/destinations", "/api/v1/storage/destinations/" + id + "/files"} {
		a := r.do(catalog.RoleOwner, "GET", path, "")
		a.refused(503, CodeNoLeader)
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: 503 without Retry-After", path)
		}
	}
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "").refused(503, CodeNoLeader)
	d := "/api/v1/storage/destinations/" + id
	for _, path := range []string{
		"/api/v1/storage/destinations", d, d + "/linked", d + "/backups", d + "/files", d + "/files/stats", "/api/v1/storage/stats", "/api/v1/storage/syncs",
	} {
		r.do(catalog.RoleOwner, "GET", path, "").refused(503, CodeNoLeader)
		r.owner("GET", path+"?consistency=stale", "")
	}
	// A sync is a change, even when stale data is accepted.
	r.do(catalog.RoleOwner, "GET", d+"/files?consistency=stale&force=true", "").refused(503, CodeNoLeader)
	if a := r.do(catalog.RoleViewer, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("healthz without a leader: %d", a.status)
	}
}

// TestPanics has a handler that panics, and one that fails in the middle of a stream.
func TestPanics(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.server.admin.members = nil // a mistake of ours
	a := r.do(catalog.RoleRoot, "GET", "/api/v1/admin/cluster", "")
	a.refused(500, CodeInternal)
	if strings.Contains(string(a.raw), "nil pointer") || !strings.Contains(r.log.String(), "panicked") {
		t.Error("a panic belongs in the log, not in the response")
	}
	broken := &route{method: "GET", path: "/broken", access: Public, timeout: noTimeout, handle: func(c *call) error {
		if err := c.send(make([]byte, 1<<20)); err != nil {
			return err
		}
		return fmt.Errorf("the disk is gone")
	}}
	r.server.router.Handle("GET", "/broken", r.server.backend.serve(broken))
	res, err := http.Get(r.http.URL + "/broken") //nolint:noctx // in a test
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Errorf("a stream that failed ended as if it were whole: %v", err)
	}
}

func TestTokens(t *testing.T) {
	r := newRig(t, mem.Options{})
	for body, field := range map[string]string{
		`{"role":"king","organizationId":"o"}`: "role", `{"role":"viewer"}`: "organizationId",
		`{"role":"root","organizationId":"o"}`: "organizationId", `{"role":"viewer","organizationId":"a b"}`: "organizationId",
		`{"role":"viewer","organizationId":"o","expiresAt":"2026-05-01T12:00:00Z"}`: "expiresAt",
		`{"role":"viewer","organizationId":"o","expiresAt":"tomorrow"}`:             "expiresAt",
	} {
		if f := r.do(catalog.RoleRoot, "POST", "/api/v1/admin/tokens", body).refused(400, CodeValidation); f[field] == nil {
			t.Errorf("%s: fields %v", body, f)
		}
	}
	a := r.do(catalog.RoleRoot, "POST", "/api/v1/admin/tokens", `{"role":"viewer","organizationId":"org1","name":"ci","expiresAt":"2026-05-01T14:00:00+01:00"}`)
	plain, _ := a.at("data", "token").(string)
	if a.status != 201 || !strings.HasPrefix(plain, "fsk_") {
		t.Fatalf("token: %d %s", a.status, a.raw)
	}
	r.tokens["new"] = plain
	if a := r.do("new", "GET", "/api/v1/storage/destinations", ""); a.status != 200 {
		t.Errorf("the new token got %d", a.status)
	}
	list := r.do(catalog.RoleRoot, "GET", "/api/v1/admin/tokens", "")
	if strings.Contains(string(list.raw), plain) || !strings.Contains(string(list.raw), `"name":"ci","createdAt":"2026-05-01T12:00:00.000Z","expiresAt":"2026-05-01T13:00:00.000Z"}`) {
		t.Errorf("tokens are listed as %s", list.raw)
	}
	r.now = r.now.Add(time.Hour)
	if a := r.do("new", "GET", "/api/v1/storage/destinations", ""); a.status != 401 || a.at("error", "message") != "The token has expired" {
		t.Errorf("an expired token got %d %s", a.status, a.raw)
	}
	id, _ := a.at("data", "id").(string)
	if a := r.do(catalog.RoleRoot, "DELETE", "/api/v1/admin/tokens/"+id, ""); a.status != 200 {
		t.Errorf("revoking: %d %s", a.status, a.raw)
	}
	r.do("new", "GET", "/api/v1/storage/destinations", "").refused(401, CodeUnauthorized)
	// A node that may be behind the others does not report a token as unknown.
	r.replog.Fail(cluster.ErrNoLeader)
	r.do("new", "GET", "/api/v1/storage/destinations?consistency=stale", "").refused(503, CodeNoLeader)
	r.replog.Fail(nil)
	r.do(catalog.RoleRoot, "DELETE", "/api/v1/admin/tokens/tok_root", "").refused(400, CodeValidation)
	if strings.Contains(r.log.String(), plain) {
		t.Error("a token is in the log")
	}
}
