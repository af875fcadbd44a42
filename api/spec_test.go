package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"firescan/api/contract"
	pb "firescan/catalog/catalogpb"
	"firescan/deletion"
	"firescan/index"
	"firescan/provider/mem"
)

// added are our fields beyond the examples of the specification.
var added = []string{
	"meta.isSyncing", "meta.needsSync", "meta.nextScheduledSyncAt", "meta.lastSyncError", "data.destinations[].lastSyncAt", "data.destinations[].lastSyncError", "data.byType.unknown", "data.syncIds", "data[].endpoint",
	"meta", "meta.depth", "meta.limit", "meta.truncated", "data.conditionalDelete", "data.keyMapping", "data.failedCount", "data.skipped", "data.feed",
	"data.stemRule", "data[].stemRule", "data.overlaps", "data.destinations[].countedIn", "data.linkedByStemFiles", "data.linkedByStemSize",
	"data.missingBackups", "data.notLookedForBackups", "data.destinations[].missingBackups", "data.destinations[].notLookedForBackups",
	"data.destinations[].linkedByStemFiles", "data.destinations[].linkedByStemSize", "data.totals.linkedByStemFiles", "data.totals.linkedByStemSize",
}

// TestExamplesOfTheSpecification compares responses with the examples of the Storage
// API: the same keys at every level, the same JSON types, and the documented messages.
func TestExamplesOfTheSpecification(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.account.Fill("second-bucket", 1, r.now)
	id := r.destination()
	path := "/api/v1/storage/destinations/" + id
	r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{
		{Kind: &pb.Record_Project{Project: &pb.Project{Org: org, Id: "proj_1", Name: "App"}}},
		{Kind: &pb.Record_Backup{Backup: &pb.Backup{Org: org, Id: "bkp_1", StorageId: id, ProjectId: "proj_1", Status: "completed", Size: 9, Collections: []string{"users"}, CreatedAt: 1e12, StoragePath: []byte("backups/production/a.backup")}}},
		{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Org: org, Id: "sched_1", StorageId: id, ProjectId: "proj_1", Name: "Daily", Enabled: true, CronExpression: "0 2 * * *"}}},
		{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Org: org, Id: "pitr_1", StorageId: id, ProjectId: "proj_1", Enabled: true, Status: "active", Prefix: []byte("wal/")}}},
	}})
	verified := r.owner("POST", path+"/verify", "")
	r.fill(id, []index.Entry{
		{Path: []byte("backups/production/a.backup"), Size: 9, ModTime: 1e12, Type: index.Backup, Linked: true},
		{Path: []byte("backups/production/b.backup"), Size: 9, ModTime: 1e12, Type: index.Backup},
	})
	var shown []string
	for _, c := range []struct {
		example  string
		response func() *response
	}{
		{"connect", func() *response { return r.owner("POST", "/api/v1/storage/connect", tryBody()) }},
		{"buckets-create", func() *response {
			return r.owner("POST", "/api/v1/storage/buckets/create", tryBody(`"bucketName":"my-firebase-backups","region":"us-west-2"`))
		}},
		{"buckets-verify", func() *response { return r.owner("POST", "/api/v1/storage/buckets/verify", tryBody(inBucket)) }},
		{"buckets-folders-create", func() *response {
			return r.owner("POST", "/api/v1/storage/buckets/folders/create", tryBody(inBucket, `"folderName":"backups/new-project"`))
		}},
		{"buckets-folders", func() *response { return r.owner("POST", "/api/v1/storage/buckets/folders", tryBody(inBucket)) }},
		{"files-delete", func() *response { return r.owner("DELETE", path+"/files", `{"path":"backups/production/b.backup"}`) }},
		{"files-bulk-delete", func() *response {
			return r.owner("POST", path+"/files/bulk-delete", `{"paths":["backups/production/b.backup","backups/production/c.backup"]}`)
		}},
		{"backups-bulk-delete", func() *response {
			gone := deletion.BackupOutcome{ID: "bkp_1", Deleted: true, FilesDeleted: true}
			r.deletes.backups = deletion.BackupsResult{Outcomes: []deletion.BackupOutcome{gone, gone}, Files: 2}
			return r.owner("POST", path+"/backups/bulk-delete", `{"backupIds":["bkp_1","bkp_2"],"deleteStorageFiles":true}`)
		}},
		{"cleanup-orphans", func() *response {
			r.deletes.done = deletion.CleanupResult{Deleted: 5, Bytes: 30000000}
			return r.owner("POST", path+"/cleanup-orphans", "")
		}},
		{"destinations-verify", func() *response { return verified }},
		{"destinations-list", func() *response { return r.owner("GET", "/api/v1/storage/destinations", "") }},
		{"destinations-get", func() *response { return r.owner("GET", path, "") }},
		{"destinations-linked", func() *response { return r.owner("GET", path+"/linked", "") }},
		{"backups", func() *response { return r.owner("GET", path+"/backups", "") }},
		{"files", func() *response { return r.owner("GET", path+"/files", "") }},
		{"files-stats", func() *response { return r.owner("GET", path+"/files/stats", "") }},
		{"stats", func() *response { return r.owner("GET", "/api/v1/storage/stats", "") }},
		{"sync", func() *response { return r.owner("POST", "/api/v1/storage/sync?destinationId="+id, "") }},
		{"destinations-create", func() *response { return r.owner("POST", "/api/v1/storage/destinations", createBody) }},
		{"destinations-update", func() *response { return r.owner("PUT", path, `{"name":"P","path":"backups/prod-v2"}`) }},
		{"migrate", func() *response {
			target := r.destination()
			r.owner("PUT", "/api/v1/storage/destinations/"+target, `{"name":"New Production Storage"}`)
			feedSchedules(r, id, 3)
			return r.owner("POST", path+"/migrate", `{"targetStorageId":"`+target+`"}`)
		}},
		{"destinations-delete", func() *response {
			other := r.destination()
			return r.owner("DELETE", "/api/v1/storage/destinations/"+other, "")
		}},
	} {
		shown = append(shown, "testdata/spec/"+c.example+".json")
		t.Run(c.example, func(t *testing.T) {
			data, err := os.ReadFile("testdata/spec/" + c.example + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			got := c.response().body
			for _, d := range contract.Differences(want, any(got), added...) {
				t.Error(d)
			}
			if documented, _ := want.(map[string]any); got["message"] != documented["message"] {
				t.Errorf("the message is %q, want %q", got["message"], documented["message"])
			}
		})
	}
	slices.Sort(shown)
	if all, err := filepath.Glob("testdata/spec/*.json"); err != nil || len(all) != 22 || !slices.Equal(all, shown) {
		t.Errorf("the specification has 22 endpoints, there are examples of %v and responses of %v: %v", all, shown, err)
	}
}
