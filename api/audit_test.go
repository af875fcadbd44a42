package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/provider/mem"
)

// TestAuditTable: every endpoint that may change something is audited or known not to be.
func TestAuditTable(t *testing.T) {
	actions, known := auditActions(), map[string]bool{}
	for _, route := range (&Server{}).routes() {
		name := route.method + " " + route.path
		known[name] = true
		if _, ok := actions[name]; !ok && route.method != http.MethodGet {
			t.Errorf("%s: auditActions has no action, nor the statement that it needs none", name)
		}
	}
	for name := range actions {
		if !known[name] {
			t.Errorf("%s has an action, and does not exist", name)
		}
	}
}

// TestAuditOfDeletions lists what deletions did to each file.
func TestAuditOfDeletions(t *testing.T) {
	r := newRig(t, mem.Options{})
	if a := r.owner("GET", auditPath, ""); len(a.at("data", "entries").([]any)) != 0 {
		t.Errorf("%s", a.raw)
	}
	id := r.destination()
	for i := range 5 {
		intent := fmt.Sprintf("del_%d", i)
		paths := [][]byte{fmt.Appendf(nil, "backups/production/%d.backup", i), []byte("backups/production/kept")}
		r.propose(&pb.BeginDelete{Org: org, DestinationId: id, Id: intent, Who: "tok_x", Node: "n/1", At: 1e12, Revision: 1, Paths: paths})
		r.propose(&pb.FinishDelete{Org: org, Id: intent, At: 1e12 + 1000, Outcomes: []*pb.Outcome{
			{Path: paths[0], Deleted: true, Size: 7}, {Path: paths[1], Reason: "it is locked"},
		}})
	}
	const deleted = auditPath + "?action=file.deleted&limit=2"
	a := r.do(catalog.RoleAdmin, "GET", deleted, "")
	if a.at("data", "entries", 0, "id") != "del_4" || a.at("data", "entries", 0, "who") != "tok_x" || a.at("data", "entries", 0, "destinationId") != id ||
		a.at("data", "entries", 0, "startedAt") != "2001-09-09T01:46:40.000Z" || a.at("data", "entries", 0, "finishedAt") != "2001-09-09T01:46:41.000Z" ||
		a.at("data", "entries", 0, "files", 0, "path") != "backups/production/4.backup" || a.at("data", "entries", 0, "files", 0, "size") != "7" ||
		a.at("data", "entries", 0, "files", 0, "deleted") != true || a.at("data", "entries", 0, "files", 1, "reason") != "it is locked" {
		t.Errorf("%s", a.raw)
	}
	if ids := r.auditPages(catalog.RoleOwner, deleted); fmt.Sprint(ids) != "[del_4 del_3 del_2 del_1 del_0]" {
		t.Errorf("pages: %v", ids)
	}
	a = r.owner("GET", auditPath+"?path=backups/production/3.backup", "")
	if len(a.at("data", "entries").([]any)) != 1 || a.at("data", "entries", 0, "id") != "del_3" {
		t.Errorf("by path: %s", a.raw)
	}
	if a := r.do(catalog.RoleRoot, "GET", auditPath, ""); a.status != 200 || strings.Contains(string(a.raw), ".backup") {
		t.Errorf("the root token reads names of files: %d %s", a.status, a.raw)
	}
	r.do(catalog.RoleOwner, "GET", auditPath+"?limit=101", "").refused(400, CodeValidation)
	r.do(catalog.RoleOwner, "GET", auditPath+"?format=xml&since=yesterday&actor=", "").refused(400, CodeValidation)
}

const auditPath = "/api/v1/storage/audit"

// auditPages returns the ids of all pages.
func (r *rig) auditPages(role catalog.Role, path string) (ids []any) {
	r.t.Helper()
	for cursor := ""; ; {
		a := r.do(role, "GET", path+"&cursor="+cursor, "")
		for i := range a.at("data", "entries").([]any) {
			ids = append(ids, a.at("data", "entries", i, "id"))
		}
		if cursor, _ = a.at("meta", "nextCursor").(string); cursor == "" {
			return ids
		}
	}
}

// audited returns the audit in lines: action, outcome, actor's role, count, numbers.
func (r *rig) audited(role catalog.Role, query string) string {
	r.t.Helper()
	a := r.do(role, "GET", auditPath+"?format=ndjson&"+query, "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/x-ndjson" {
		r.t.Fatalf("%d %s", a.status, a.raw)
	}
	var lines []string
	for line := range strings.Lines(string(a.raw)) {
		var e auditEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			r.t.Fatal(err)
		}
		if e.Numbers == nil {
			e.Numbers = map[string]uint64{}
		}
		lines = append(lines, fmt.Sprint(e.Action, " ", e.Outcome, " ", e.Role, " ", e.Count, " ", e.Numbers))
	}
	slices.Sort(lines) // ids of one millisecond have any order
	return strings.Join(lines, "\n")
}

// TestRequestsAreAudited makes requests of all kinds, and finds who made them, with their
// outcomes and without secrets.
func TestRequestsAreAudited(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	d := destinationsPath + "/" + id
	r.do(catalog.RoleOwner, "PUT", d, `{"region":"eu-west-1","credentials":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"`+secretText+`2"}}`, "X-Request-Id", "req-1")
	r.do(catalog.RoleMember, "DELETE", d, "").refused(403, CodeDenied)
	r.do(catalog.RoleOwner, "DELETE", destinationsPath+"/none", "").refused(404, CodeStorageNotFound)
	r.owner("POST", "/api/v1/storage/sync?destinationId="+id, "")
	r.owner("GET", d+"/files/stats", "")
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", keyHeader, "k1")
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/sync", "", keyHeader, "k1") // a replay
	for i := range 20 {
		r.do(catalog.RoleService, "PUT", fmt.Sprintf("/api/v1/catalog/projects/p%d", i), `{"name":"p"}`)
	}
	r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", `{"kind":"project","id":"p1","name":"p"}`+"\n{}")
	r.do(catalog.RoleService, "POST", "/api/v1/catalog/import/check", `{"kind":"project","id":"p1","name":"p"}`)
	token := r.do(catalog.RoleRoot, "POST", "/api/v1/admin/tokens", `{"organizationId":"org1","role":"viewer","name":"n"}`).at("data", "token").(string)
	r.do(catalog.RoleRoot, "DELETE", "/api/v1/admin/cluster/n2", "").refused(409, CodeConflict)
	r.do(catalog.RoleRoot, "POST", "/api/v1/admin/secret/rotate", "")
	for range 3 {
		r.do(catalog.RoleOwner, "GET", destinationsPath, "", "Authorization", "Bearer fsk_unknown").refused(401, CodeUnauthorized)
	}
	r.do(catalog.RoleOwner, "GET", destinationsPath, "", "Authorization", "Bearer "+r.addExpired()).refused(401, CodeUnauthorized)
	r.server.RecordNode("cluster.lead", "n1")

	ours := `destination.create success owner 1 map[]
destination.delete PERMISSION_DENIED member 1 map[]
destination.delete STORAGE_NOT_FOUND owner 1 map[]
destination.update success owner 1 map[credentials:1 moved:1]
feed.import success service 1 map[failed:1 projects:1]
feed.put success service 20 map[]
login.failed UNAUTHORIZED owner 1 map[]
sync.start success owner 1 map[syncs:1]
sync.start success owner 1 map[syncs:1]
token.create success root 1 map[]`
	if got := r.audited(catalog.RoleAdmin, ""); got != ours {
		t.Errorf("the organization sees\n%s\nwant\n%s", got, ours)
	}
	all := strings.Split(ours+`
cluster.lead success  1 map[]
cluster.remove CONFLICT root 1 map[]
cluster.rotate-secret success root 1 map[]
login.failed UNAUTHORIZED  3 map[]`, "\n")
	slices.Sort(all)
	if got := r.audited(catalog.RoleRoot, ""); got != strings.Join(all, "\n") {
		t.Errorf("the root token sees\n%s\nwant\n%s", got, strings.Join(all, "\n"))
	}
	raw := string(r.do(catalog.RoleRoot, "GET", auditPath+"?format=ndjson", "").raw)
	for _, secret := range []string{secretText, token, "fsk_", "AKIA"} {
		if strings.Contains(raw, secret) {
			t.Errorf("the audit has %q", secret)
		}
	}
	if strings.Contains(string(r.owner("GET", auditPath+"?action=token", "").raw), "127.0.0.1") {
		t.Error("an organization sees the address of an operator")
	}

	a := r.owner("GET", auditPath+"?action=destination.update", "")
	if a.at("data", "entries", 0, "requestId") != "req-1" || a.at("data", "entries", 0, "address") != "127.0.0.1" ||
		a.at("data", "entries", 0, "destinationId") != id || a.at("data", "entries", 0, "at") != "2026-05-01T12:00:00.000Z" {
		t.Errorf("%s", a.raw)
	}
	for query, want := range map[string]int{
		"action=destination": 4, "outcome=failure": 3, "outcome=permission_denied": 1, "destinationId=" + id: 4, "actor=" + a.at("data", "entries", 0, "who").(string): 5,
		"since=1h": 10, "until=1h": 0, "since=2026-05-01T12:00:00.001Z": 0, "action=dest": 0,
	} {
		if got := r.owner("GET", auditPath+"?limit=100&"+query, "").at("data", "entries").([]any); len(got) != want {
			t.Errorf("%s selects %d entries, want %d", query, len(got), want)
		}
	}
	if ids := r.auditPages(catalog.RoleRoot, auditPath+"?limit=3"); len(ids) != len(all) {
		t.Errorf("pages of all organizations have %d entries, want %d", len(ids), len(all))
	}
	other := r.others("org2")
	if a := other(catalog.RoleOwner, "GET", auditPath, ""); len(a.at("data", "entries").([]any)) != 0 {
		t.Errorf("another organization sees %s", a.raw)
	}
}

// TestAuditIsLimited: what an organization or strangers do too often is counted, and is
// written later again with the number since.
func TestAuditIsLimited(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{AuditRate: 3, AuditEntries: 100})
	r.server.backend.audit.limits = r.server.backend.limits
	for range 10 {
		r.owner("POST", "/api/v1/storage/sync", "")
	}
	for i := range 2 * maxAuditGroups {
		r.server.backend.recordLogin(fmt.Sprintf("192.0.2.%d", i), nil, CodeUnauthorized)
	}
	if got := r.audited(catalog.RoleOwner, "action=sync"); strings.Count(got, "1 map") != 3 || !strings.Contains(got, "7 map") {
		t.Errorf("the organization sees\n%s", got)
	}
	got := r.audited(catalog.RoleRoot, "action=login")
	others := r.audited(catalog.RoleRoot, "action=others")
	if strings.Count(got, "login.failed") != maxAuditGroups || others != fmt.Sprintf("others success  %d map[]", maxAuditGroups) {
		t.Errorf("failed logins:\n%s\n%s", got, others)
	}
	r.metric(fmt.Sprintf(`firescan_limited_total{quota="audit"} %d`, 7+maxAuditGroups))

	r.owner("POST", "/api/v1/storage/sync", "")
	if got := r.audited(catalog.RoleOwner, "action=sync"); strings.Count(got, "\n") != 3 {
		t.Errorf("within the window:\n%s", got)
	}
	r.now = r.now.Add(auditWindow)
	r.server.backend.limits.audits.byKey.Purge()
	if got := r.audited(catalog.RoleOwner, "action=sync"); strings.Count(got, "\n") != 4 {
		t.Errorf("after the window:\n%s", got)
	}
}

// TestAuditWithoutLeader: entries wait for a leader, as far as there is room, and those above
// are counted.
func TestAuditWithoutLeader(t *testing.T) {
	r := newRig(t, mem.Options{})
	a := r.server.backend.audit
	r.replog.Fail(cluster.ErrNoLeader)
	for range maxAuditQueue + 5 {
		a.record(&pb.AuditEntry{Org: org, Actor: "tok", Action: "sync.start", Count: 1}, true)
		if len(a.queue)%1000 == 0 {
			if err := a.write(t.Context(), false); !errors.Is(err, cluster.ErrNoLeader) {
				t.Fatal(err)
			}
		}
	}
	r.replog.Fail(nil)
	if err := a.write(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	entries, requests := 0, uint64(0)
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		return tx.Trail(org, "", func(e *pb.AuditEntry) bool {
			entries, requests = entries+1, requests+e.Count
			return true
		})
	}); err != nil {
		t.Fatal(err)
	}
	if entries > maxAuditQueue+1 || requests != maxAuditQueue+5 {
		t.Errorf("%d entries of %d requests", entries, requests)
	}
}
