package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// tenantBodies are the bodies of requests that name something of another organization. %[1]s is
// a destination and %[2]s a backup.
var tenantBodies = map[string]string{
	"PUT /api/v1/storage/destinations/:id":                      `{"name":"mine","bucket":"stolen"}`,
	"POST /api/v1/storage/destinations/:id/verify":              ``,
	"POST /api/v1/storage/destinations/:id/migrate":             `{"targetStorageId":"%[1]s"}`,
	"POST /api/v1/storage/destinations/:id/files/bulk-delete":   `{"paths":["backups/production/a.backup"]}`,
	"POST /api/v1/storage/destinations/:id/backups/bulk-delete": `{"backupIds":["%[2]s"]}`,
	"POST /api/v1/storage/destinations/:id/cleanup-orphans":     ``,
	"PUT /api/v1/catalog/projects/:id":                          `{"name":"mine"}`,
	"PUT /api/v1/catalog/backups/:id":                           `{"storageId":"%[1]s","projectId":"proj_1","storagePath":"backups/production/a.backup"}`,
	"PUT /api/v1/catalog/schedules/:id":                         `{"storageId":"%[1]s"}`,
	"PUT /api/v1/catalog/pitr/:id":                              `{"storageId":"%[1]s","prefix":"wal/"}`,
	"POST /api/v1/storage/sync":                                 ``,
	"POST /api/v1/catalog/import":                               `{"type":"backup","id":"%[2]s","storageId":"%[1]s","storagePath":"backups/production/a.backup"}`,
	"POST /api/v1/catalog/import/check":                         `{"type":"backup","id":"%[2]s","storageId":"%[1]s","storagePath":"backups/production/a.backup"}`,
	// They name nothing that is stored.
	"POST /api/v1/storage/connect":                ``,
	"POST /api/v1/storage/buckets/create":         ``,
	"POST /api/v1/storage/buckets/verify":         ``,
	"POST /api/v1/storage/buckets/folders":        ``,
	"POST /api/v1/storage/buckets/folders/create": ``,
	"POST /api/v1/storage/destinations":           ``,
}

// TestOthersSeeNothing gives the ids of an organization to every role of another one, at
// every endpoint. They are refused as unknown ids are, no response shows anything, and
// nothing changes.
func TestOthersSeeNothing(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{
		{Kind: &pb.Record_Project{Project: &pb.Project{Org: org, Id: "proj_1", Name: "App of ours"}}},
		{Kind: &pb.Record_Backup{Backup: &pb.Backup{Org: org, Id: "bkp_1", StorageId: id, ProjectId: "proj_1", StoragePath: []byte("backups/production/a.backup")}}},
		{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Org: org, Id: "sched_1", StorageId: id}}},
		{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Org: org, Id: "pitr_1", StorageId: id, Prefix: []byte("wal/")}}},
	}})
	r.fill(id, []index.Entry{{Path: []byte("backups/production/a.backup"), Size: 9, Type: index.Backup, Linked: true}})
	sync := r.owner("POST", "/api/v1/storage/sync", "").at("data", "syncIds", 0).(string)
	r.owner("DELETE", "/api/v1/storage/syncs/"+sync, "")
	other := r.others("org2")

	d := "/api/v1/storage/destinations/" + id
	state := func() (all string) {
		for _, path := range []string{
			d, d + "/files", d + "/linked", d + "/backups", "/api/v1/storage/destinations", "/api/v1/storage/syncs", "/api/v1/storage/stats",
			"/api/v1/catalog/projects/proj_1", "/api/v1/catalog/backups/bkp_1", "/api/v1/catalog/schedules/sched_1", "/api/v1/catalog/pitr/pitr_1",
		} {
			all += path + " " + string(r.owner("GET", path, "").raw) + "\n"
		}
		return all
	}
	before := state()
	ours := []string{id, sync, "bkp_1", "proj_1", "sched_1", "pitr_1"}
	missing := strings.NewReplacer(id, "storage_none", sync, "sync_none", "bkp_1", "bkp_none", "proj_1", "proj_none", "sched_1", "sched_none", "pitr_1", "pitr_none")
	secrets := []string{"App of ours", "Production S3", "AKIA", `"totalFiles":1`}

	check := func(role catalog.Role, method, path, body string) {
		t.Helper()
		a := other(role, method, path, body)
		all := slices.Concat(secrets, ours)
		if strings.HasPrefix(path, "/api/v1/storage/audit") {
			all = secrets // it has the ids that they named themselves
		}
		for _, secret := range all {
			if strings.Contains(string(a.raw), secret) && !strings.Contains(path+body, secret) {
				t.Errorf("%s %s as %s: the response has %q: %d %s", method, path, role, secret, a.status, a.raw)
			}
		}
		if none := missing.Replace(path); none != path || missing.Replace(body) != body {
			b := other(role, method, none, missing.Replace(body))
			if got := missing.Replace(string(a.raw)); a.status != b.status || a.status >= 400 && got != string(b.raw) {
				t.Errorf("%s %s as %s: %d %s, with ids of nothing %d %s", method, path, role, a.status, got, b.status, b.raw)
			}
		}
	}
	for _, route := range r.server.routes() {
		name := route.method + " " + route.path
		roles := slices.DeleteFunc(slices.Clone(may[name]), func(role catalog.Role) bool { return !role.OfOrganization() })
		if len(roles) == 0 || name == "GET /api/v1/storage/events" { // see TestEvents
			continue
		}
		body, known := tenantBodies[name]
		if !known && route.method != http.MethodGet && route.method != http.MethodDelete {
			t.Errorf("%s: tenantBodies needs an entry", name)
		}
		if strings.Contains(body, "%") {
			body = fmt.Sprintf(body+"%[3]s", id, "bkp_1", "")
		}
		for _, role := range roles {
			for _, given := range ours {
				path := strings.ReplaceAll(route.path, ":id", given)
				if path == route.path {
					path += "?destinationId=" + given
				}
				check(role, route.method, path, body)
			}
			check(role, route.method, strings.ReplaceAll(route.path, ":id", id)+"?path=backups/production/a.backup&missing=true&force=true", body)
		}
	}
	if after := state(); after != before {
		t.Errorf("another organization has changed ours from\n%s\nto\n%s", before, after)
	}

	for path, code := range map[string]Code{d: CodeStorageNotFound, "/api/v1/storage/syncs/" + sync: CodeNotFound, "/api/v1/catalog/backups/bkp_none": CodeBackupNotFound} {
		other(catalog.RoleOwner, "GET", path, "").refused(http.StatusNotFound, code)
	}
	for path, empty := range map[string]string{
		"/api/v1/storage/destinations": `"data":[]`, "/api/v1/storage/syncs": `"syncs":[]`, "/api/v1/storage/stats": `"totalFiles":0`,
	} {
		if a := other(catalog.RoleOwner, "GET", path, ""); a.status != http.StatusOK || !strings.Contains(string(a.raw), empty) {
			t.Errorf("%s: %d %s", path, a.status, a.raw)
		}
	}
	// Their project with the same id is a different one.
	other(catalog.RoleService, "PUT", "/api/v1/catalog/projects/proj_1", `{"name":"mine"}`)
	if got := other(catalog.RoleOwner, "GET", "/api/v1/catalog/projects/proj_1", "").at("data", "name"); got != "mine" {
		t.Errorf("their project has the name %v", got)
	}
}

// others adds tokens for all roles of another organization, and returns a function that
// makes requests as one of them.
func (r *rig) others(name string) func(role catalog.Role, method, path, body string) *response {
	for _, role := range catalog.Roles() {
		if role.OfOrganization() {
			plain := catalog.NewToken()
			r.propose(&pb.PutToken{Token: &pb.Token{Id: "tok_other_" + string(role), Hash: catalog.HashToken(plain), Org: name, Role: string(role)}})
			r.tokens["other "+role] = plain
		}
	}
	return func(role catalog.Role, method, path, body string) *response {
		return r.do("other "+role, method, path, body, "X-Organization-Id", name)
	}
}
