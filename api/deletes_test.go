package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/cluster"
	"firescan/deletion"
	"firescan/provider"
	"firescan/provider/mem"
)

func TestDeleteFile(t *testing.T) {
	r := newRig(t, mem.Options{})
	id := r.destination()
	path := destinationsPath + "/" + id + "/files"
	a := r.owner("DELETE", path, `{"path":"backups/production/ä b.backup"}`)
	if a.at("data", "path") != "backups/production/ä b.backup" || a.at("data", "deleted") != true {
		t.Errorf("%s", a.raw)
	}
	if d := &r.deletes.files; d.Destination.GetId() != id || d.Who != "tok_owner" || len(d.Paths) != 1 || string(d.Paths[0]) != "backups/production/ä b.backup" {
		t.Errorf("asked for %+v", d)
	}
	r.deletes.calls = 0
	for body, field := range map[string]string{
		``: "body", `{}`: "path", `{"path":""}`: "path", `{"path":7}`: "path", `{"path":"a","dryRun":true}`: "dryRun",
		`{"path":"elsewhere/a.backup"}`: "path", `{"path":"backups/production"}`: "path", `{"path":"backups/production0"}`: "path",
		`{"path":"backups/production/` + strings.Repeat("k", 1024) + `"}`: "path",
	} {
		if f := r.do(catalog.RoleOwner, "DELETE", path, body).refused(400, CodeValidation); f[field] == nil {
			t.Errorf("%.40s: fields %v", body, f)
		}
	}
	r.do(catalog.RoleOwner, "DELETE", destinationsPath+"/storage_nothing/files", `{"path":"a"}`).refused(404, CodeStorageNotFound)
	if r.deletes.calls > 0 {
		t.Error("a wrong request was passed on")
	}
}

// TestDeleteFileErrors returns each error for a single file, and for one of many.
func TestDeleteFileErrors(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := destinationsPath + "/" + r.destination() + "/files"
	for code, err := range map[Code]error{
		CodeNotOrphan:      &catalog.Error{Code: catalog.CodeNotOrphan, Message: `"a" belongs to a backup`},
		CodeBeingDeleted:   &catalog.Error{Code: catalog.CodeBeingDeleted, Message: `"a" is being deleted`},
		CodeFileNotFound:   deletion.ErrNotFound,
		CodeConflict:       deletion.ErrChanged,
		CodeProviderDenied: &provider.Error{Kind: provider.Denied, Op: "delete", Reason: "no"},
		CodeProvider:       &provider.Error{Kind: provider.Unavailable, Op: "delete", Reason: "no"},
		CodeInternal:       errors.New("the secret inner matter"),
	} {
		r.deletes.outcomes = []deletion.Outcome{{Err: fmt.Errorf("wrapped: %w", err)}}
		a := r.do(catalog.RoleOwner, "DELETE", path, `{"path":"backups/production/a"}`)
		a.refused(code.Status(), code)
		r.deletes.outcomes = []deletion.Outcome{{Err: err}, {Size: 3}}
		many := r.owner("POST", path+"/bulk-delete", `{"paths":["backups/production/a","backups/production/b"]}`)
		if many.at("data", "deletedCount") != 1.0 || many.at("data", "failedCount") != 1.0 || many.at("message") != "Deleted 1 of 2 files" ||
			many.at("data", "results", 0, "deleted") != false || many.at("data", "results", 1, "deleted") != true ||
			many.at("data", "results", 0, "path") != "backups/production/a" || many.at("data", "results", 0, "error", "code") != string(code) ||
			many.at("data", "results", 0, "error", "message") != a.at("error", "message") ||
			strings.Contains(string(a.raw), `"reason"`) && many.at("data", "results", 0, "error", "details", "reason") != a.at("error", "details", "reason") {
			t.Errorf("%s: %s", code, many.raw)
		}
		if strings.Contains(string(many.raw)+string(a.raw), "secret") {
			t.Errorf("%s: %s", code, many.raw)
		}
	}
	if !strings.Contains(r.log.String(), "the secret inner matter") {
		t.Error("what went wrong with us is not in the log")
	}
	// The text of the specification.
	r.deletes.outcomes = []deletion.Outcome{{Err: catalog.ErrNotOrphan}}
	a := r.do(catalog.RoleOwner, "DELETE", path, `{"path":"backups/production/a"}`)
	if a.status != 409 || a.at("error", "message") != "File is associated with a backup and cannot be deleted directly" {
		t.Errorf("%d %s", a.status, a.raw)
	}
	r.deletes.outcomes, r.deletes.err = nil, fmt.Errorf("announce: %w", cluster.ErrNoLeader)
	r.do(catalog.RoleOwner, "DELETE", path, `{"path":"backups/production/a"}`).refused(503, CodeNoLeader)
	r.do(catalog.RoleOwner, "POST", path+"/bulk-delete", `{"paths":["backups/production/a"]}`).refused(503, CodeNoLeader)
}

func TestDeleteFiles(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := destinationsPath + "/" + r.destination() + "/files/bulk-delete"
	var body strings.Builder
	for i := range maxDeletePaths {
		fmt.Fprintf(&body, `"backups/production/%080d",`, i)
	}
	many := body.String()
	a := r.owner("POST", path, `{"paths":[`+many[:len(many)-1]+`]}`)
	if a.at("data", "deletedCount") != float64(maxDeletePaths) || len(r.deletes.files.Paths) != maxDeletePaths {
		t.Errorf("%.200s", a.raw)
	}
	for body, field := range map[string]string{
		`{}`: "paths", `{"paths":[]}`: "paths", `{"paths":["a",""]}`: "paths[1]", `{"paths":"a"}`: "paths", `{"paths":[` + many + `"a"]}`: "paths",
	} {
		if f := r.do(catalog.RoleOwner, "POST", path, body).refused(400, CodeValidation); f[field] == nil {
			t.Errorf("%.40s: fields %v", body, f)
		}
	}
	a = r.owner("POST", path, `{"paths":["backups/production/b","backups/production/a","backups/production/b"]}`)
	if a.at("message") != "Deleted 2 of 2 files" || fmt.Sprintf("%s", r.deletes.files.Paths) != "[backups/production/b backups/production/a]" {
		t.Errorf("a path that is given twice: %s", a.raw)
	}
	r.do(catalog.RoleOwner, "POST", path, `{"paths":["`+strings.Repeat("k", 5<<20)+`"]}`).refused(413, CodeTooLarge)
}

func TestDeleteBackups(t *testing.T) {
	r := newRig(t, mem.Options{})
	path := destinationsPath + "/" + r.destination() + "/backups/bulk-delete"
	r.deletes.backups = deletion.BackupsResult{Files: 3, Outcomes: []deletion.BackupOutcome{
		{ID: "a", Deleted: true, FilesDeleted: true},
		{ID: "b", Err: catalog.ErrNotFound},
		{ID: "c", Deleted: true, Err: catalog.ErrNotOrphan},
	}}
	a := r.owner("POST", path, `{"backupIds":["a","b","c"],"deleteStorageFiles":true}`)
	if a.at("message") != "Deleted 2 of 3 backups and 3 storage files" || a.at("data", "deletedCount") != 2.0 || a.at("data", "failedCount") != 1.0 ||
		a.at("data", "filesDeletedCount") != 3.0 || a.at("data", "results", 1, "error", "code") != "BACKUP_NOT_FOUND" ||
		a.at("data", "results", 2, "filesDeleted") != false || a.at("data", "results", 2, "error", "code") != "FILE_NOT_ORPHAN" {
		t.Errorf("%s", a.raw)
	}
	if d := &r.deletes.records; !d.Files || !slices.Equal(d.IDs, []string{"a", "b", "c"}) || d.Who != "tok_owner" {
		t.Errorf("asked for %+v", d)
	}
	if a := r.owner("POST", path, `{"backupIds":["a","b","a","c","c"]}`); a.at("message") != "Deleted 2 of 3 backups" || r.deletes.records.Files ||
		!slices.Equal(r.deletes.records.IDs, []string{"a", "b", "c"}) {
		t.Errorf("without files, ids given twice: %s", a.raw)
	}
	for body, field := range map[string]string{
		`{}`: "backupIds", `{"backupIds":[]}`: "backupIds", `{"backupIds":["a b"]}`: "backupIds[0]", `{"backupIds":["a"],"deleteFiles":true}`: "deleteFiles",
		`{"backupIds":["a"],"deleteStorageFiles":"yes"}`:                      "deleteStorageFiles",
		`{"backupIds":["a"` + strings.Repeat(`,"a"`, maxDeleteBackups) + `]}`: "backupIds",
	} {
		if f := r.do(catalog.RoleOwner, "POST", path, body).refused(400, CodeValidation); f[field] == nil {
			t.Errorf("%.40s: fields %v", body, f)
		}
	}
}
