package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider/mem"
)

// TestPutReturnsTheStoredRecord reads each record back and compares it with the
// response to the PUT.
func TestPutReturnsTheStoredRecord(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for _, c := range []struct{ path, body, want string }{
		{"projects/p", `{"kind":"project","name":"App"}`, `{"id":"p","name":"App"}`},
		{
			"backups/b", `{"storageId":"` + id + `"}`,
			`{"id":"b","storageId":"` + id + `","projectId":"","status":"","size":0,"collections":[],"createdAt":null,"storagePath":""}`,
		},
		{
			"backups/b", `{"kind":"backup","id":"b","storageId":"` + id + `","collections":["users"],"createdAt":"2024-01-15T12:00:00.1239+02:00","storagePath":"a","files":["c"]}`,
			`{"id":"b","storageId":"` + id + `","projectId":"","status":"","size":0,"collections":["users"],"createdAt":"2024-01-15T10:00:00.123Z","storagePath":"a","files":["c"]}`,
		},
		{
			"pitr/x", `{"storageId":"` + id + `","enabled":true,"status":"active","prefix":"wal/"}`,
			`{"id":"x","storageId":"` + id + `","projectId":"","enabled":true,"status":"active","prefix":"wal/"}`,
		},
	} {
		path := "/api/v1/catalog/" + c.path
		put := r.do(catalog.RoleService, "PUT", path, c.body)
		got := r.do(catalog.RoleService, "GET", path, "")
		for _, a := range []*response{put, got} {
			if !strings.HasPrefix(string(a.raw), `{"success":true,"data":`+strings.TrimSuffix(c.want, "}")+`,"version":"`) {
				t.Errorf("%s: %d %s, want %s", c.path, a.status, a.raw, c.want)
			}
		}
	}
}

func TestBadRecords(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for _, c := range []struct{ path, body, field string }{
		{"projects/a%20b", `{"name":"x"}`, "id"},
		{"projects/p", `{"name":"` + strings.Repeat("x", 300) + `"}`, "name"},
		{"projects/p", `{"kind":"backup","name":"x"}`, "kind"},
		{"backups/b", `{}`, "storageId"},
		{"backups/b", `{"storageId":"` + id + `","size":-1}`, "size"},
		{"backups/b", `{"storageId":"` + id + `","size":1.5}`, "size"},
		{"backups/b", `{"storageId":"` + id + `","createdAt":"yesterday"}`, "createdAt"},
		{"backups/b", `{"storageId":"` + id + `","createdAt":1705312800}`, "createdAt"},
		{"backups/b", `{"storageId":"` + id + `","createdAt":"9999-12-31T23:59:59-01:00"}`, "createdAt"},
		{"backups/b", `{"storageId":"` + id + `","createdAt":"0000-01-01T00:00:00+01:00"}`, "createdAt"},
		{"backups/b", `{"storageId":"` + id + `","storagePath":"` + strings.Repeat("x", 1025) + `"}`, "storagePath"},
		{"backups/b", `{"storageId":"` + id + `","files":["a",""]}`, "files"},
		{"backups/b", `{"storageId":"` + id + `","collections":"users"}`, "collections"},
		{"schedules/s", `{"storageId":"` + id + `","cronExpression":"\u0000"}`, "cronExpression"},
		{"pitr/p", `{"storageId":"` + id + `"}`, "prefix"},
	} {
		fields := r.do(catalog.RoleService, "PUT", "/api/v1/catalog/"+c.path, c.body).refused(http.StatusBadRequest, CodeValidation)
		if fields[c.field] == nil {
			t.Errorf("%s %.80s: the fields %v do not name %s", c.path, c.body, fields, c.field)
		}
	}
}

// TestRecordTooLargeForACommand is below the limit of bodies and above that of the log.
func TestRecordTooLargeForACommand(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	var files []string
	for i := range 700 {
		files = append(files, fmt.Sprintf(`"%s%d"`, strings.Repeat("x", 900), i))
	}
	body := `{"kind":"backup","id":"b","storageId":"` + id + `","files":[` + strings.Join(files, ",") + `]}`
	r.do(catalog.RoleService, "PUT", "/api/v1/catalog/backups/b", body).refused(http.StatusRequestEntityTooLarge, CodeTooLarge)
	a := r.do(catalog.RoleService, "POST", "/api/v1/catalog/import", body)
	if a.at("data", "failedCount") != 1.0 || a.at("data", "errors", 0, "message") != "the record is too large" {
		t.Errorf("import: %s", a.raw)
	}
}

func TestFeedRecords(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	for kind, body := range map[string]string{
		"projects":  `{"name":"App"}`,
		"backups":   `{"storageId":"` + id + `","projectId":"p","status":"running","size":5,"storagePath":"a/b.backup","files":["a/c"]}`,
		"schedules": `{"storageId":"` + id + `","projectId":"p","name":"Daily","enabled":true,"cronExpression":"0 2 * * *"}`,
		"pitr":      `{"storageId":"` + id + `","projectId":"p","enabled":true,"status":"active","prefix":"wal/"}`,
	} {
		path := "/api/v1/catalog/" + kind + "/the-id"
		if a := r.do(catalog.RoleService, "GET", path, ""); a.status != 404 {
			t.Errorf("%s before: %d", kind, a.status)
		}
		if a := r.do(catalog.RoleService, "PUT", path, body); a.status != 200 || a.at("data", "id") != "the-id" {
			t.Errorf("%s: %d %s", kind, a.status, a.raw)
		}
		if a := r.do(catalog.RoleViewer, "GET", path, ""); a.status != 200 || a.at("data", "id") != "the-id" {
			t.Errorf("%s: %d %s", kind, a.status, a.raw)
		}
		r.do(catalog.RoleService, "PUT", path, strings.Replace(body, "{", `{"id":"other",`, 1)).refused(400, CodeValidation)
		if kind != "projects" {
			r.do(catalog.RoleService, "PUT", path, strings.Replace(body, id, "storage_unknown", 1)).refused(404, CodeStorageNotFound)
		}
		if a := r.do(catalog.RoleService, "DELETE", path, ""); a.status != 200 {
			t.Errorf("deleting %s: %d %s", kind, a.status, a.raw)
		}
		if a := r.do(catalog.RoleService, "DELETE", path, ""); a.status != 404 {
			t.Errorf("deleting %s again: %d", kind, a.status)
		}
	}
}

func TestARecordThatClaimsAFileBeingDeleted(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	r.propose(&pb.BeginDelete{Org: org, DestinationId: id, Id: "del_1", Who: "tok", Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte("backups/production/a.backup")}})
	path, body := "/api/v1/catalog/backups/b1", `{"id":"b1","storageId":"`+id+`","storagePath":"backups/production/a.meta"}`
	r.do(catalog.RoleService, "PUT", path, body).refused(409, CodeBeingDeleted)
	r.propose(&pb.FinishDelete{Org: org, Id: "del_1", At: 2})
	if a := r.do(catalog.RoleService, "PUT", path, body); a.status != 200 {
		t.Errorf("afterwards: %d %s", a.status, a.raw)
	}
}
