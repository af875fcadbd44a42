package api

import (
	"net/http"
	"strings"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// TestOthersSeeNothing gives another organization the ids of everything, with every
// role: each is reported as missing, and lists are empty.
func TestOthersSeeNothing(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{
		{Kind: &pb.Record_Project{Project: &pb.Project{Org: org, Id: "proj_1", Name: "App"}}},
		{Kind: &pb.Record_Backup{Backup: &pb.Backup{Org: org, Id: "bkp_1", StorageId: id, ProjectId: "proj_1", StoragePath: []byte("backups/production/a.backup")}}},
		{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Org: org, Id: "sched_1", StorageId: id}}},
		{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Org: org, Id: "pitr_1", StorageId: id, Prefix: []byte("wal/")}}},
	}})
	r.fill(id, []index.Entry{{Path: []byte("backups/production/a.backup"), Size: 9, Type: index.Backup, Linked: true}})
	sync := r.owner("POST", "/api/v1/storage/sync", "").at("data", "syncIds", 0).(string)
	for _, role := range []catalog.Role{catalog.RoleOwner, catalog.RoleService} {
		plain := catalog.NewToken()
		r.propose(&pb.PutToken{Token: &pb.Token{Id: "tok_other_" + string(role), Hash: catalog.HashToken(plain), Org: "org2", Role: string(role)}})
		r.tokens["other "+role] = plain
	}
	other := func(role catalog.Role, method, path, body string) *response {
		return r.do("other "+role, method, path, body, "X-Organization-Id", "org2")
	}
	d := "/api/v1/storage/destinations/" + id
	for _, c := range []struct {
		role               catalog.Role
		method, path, body string
		code               Code
	}{
		{catalog.RoleOwner, "GET", d, "", CodeStorageNotFound},
		{catalog.RoleOwner, "PUT", d, `{"name":"mine"}`, CodeStorageNotFound},
		{catalog.RoleOwner, "DELETE", d, "", CodeStorageNotFound},
		{catalog.RoleOwner, "POST", d + "/verify", "", CodeStorageNotFound},
		{catalog.RoleOwner, "POST", d + "/migrate", `{"targetStorageId":"storage_other"}`, CodeStorageNotFound},
		{catalog.RoleOwner, "GET", d + "/linked", "", CodeStorageNotFound},
		{catalog.RoleOwner, "GET", d + "/backups", "", CodeStorageNotFound},
		{catalog.RoleOwner, "GET", d + "/backups?missing=true", "", CodeStorageNotFound},
		{catalog.RoleOwner, "GET", d + "/files", "", CodeStorageNotFound},
		{catalog.RoleOwner, "GET", d + "/files?force=true", "", CodeStorageNotFound},
		{catalog.RoleOwner, "GET", d + "/files/stats", "", CodeStorageNotFound},
		{catalog.RoleOwner, "GET", d + "/files/export", "", CodeStorageNotFound},
		{catalog.RoleOwner, "POST", "/api/v1/storage/sync?destinationId=" + id, "", CodeStorageNotFound},
		{catalog.RoleOwner, "GET", "/api/v1/storage/syncs?destinationId=" + id, "", CodeStorageNotFound},
		{catalog.RoleOwner, "GET", "/api/v1/storage/syncs/" + sync, "", CodeNotFound},
		{catalog.RoleOwner, "DELETE", "/api/v1/storage/syncs/" + sync, "", CodeNotFound},
		{catalog.RoleOwner, "GET", "/api/v1/catalog/backups/bkp_1", "", CodeBackupNotFound},
		{catalog.RoleOwner, "GET", "/api/v1/catalog/projects/proj_1", "", CodeNotFound},
		{catalog.RoleService, "DELETE", "/api/v1/catalog/backups/bkp_1", "", CodeBackupNotFound},
		{catalog.RoleService, "DELETE", "/api/v1/catalog/schedules/sched_1", "", CodeNotFound},
		{catalog.RoleService, "DELETE", "/api/v1/catalog/pitr/pitr_1", "", CodeNotFound},
		{catalog.RoleService, "PUT", "/api/v1/catalog/backups/bkp_1", `{"storageId":"` + id + `"}`, CodeStorageNotFound},
	} {
		a := other(c.role, c.method, c.path, c.body)
		a.refused(http.StatusNotFound, c.code)
		missing := other(c.role, c.method, strings.NewReplacer(id, "storage_none", sync, "sync_none", "_1", "_none").Replace(c.path),
			strings.Replace(c.body, id, "storage_none", 1))
		if string(missing.raw) != strings.ReplaceAll(string(a.raw), id, "storage_none") {
			t.Errorf("%s %s: another's maps to %s, a missing one with %s", c.method, c.path, a.raw, missing.raw)
		}
	}
	for path, empty := range map[string]string{
		"/api/v1/storage/destinations": `"data":[]`, "/api/v1/storage/syncs": `"syncs":[]`, "/api/v1/storage/stats": `"totalFiles":0`,
	} {
		if a := other(catalog.RoleOwner, "GET", path, ""); a.status != http.StatusOK || !strings.Contains(string(a.raw), empty) {
			t.Errorf("%s: %d %s", path, a.status, a.raw)
		}
	}
	// Their record with the same id is a different one.
	other(catalog.RoleService, "PUT", "/api/v1/catalog/projects/proj_1", `{"name":"Theirs"}`)
	if got := r.owner("GET", "/api/v1/catalog/projects/proj_1", "").at("data", "name"); got != "App" {
		t.Errorf("another organization renamed our project to %v", got)
	}
	if got := r.owner("GET", d+"/files", "").at("data", "files", 0, "backupId"); got != "bkp_1" {
		t.Errorf("the file is of %v", got)
	}
}
