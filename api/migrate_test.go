package api

import (
	"fmt"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// feedSchedules creates n schedules of a destination.
func feedSchedules(r *rig, id string, n int) {
	for i := range n {
		r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{
			{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Org: org, Id: fmt.Sprintf("sched_%d", i), StorageId: id, Name: "Daily", Enabled: true}}},
		}})
	}
}

func feedPitr(r *rig, id string) {
	r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{
		{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Org: org, Id: "pitr_1", StorageId: id, Enabled: true, Status: "active", Prefix: []byte("wal/")}}},
	}})
}

func TestMigrate(t *testing.T) {
	r := newRig(t, mem.Options{})
	from, to := r.destination(), r.destination()
	r.owner("PUT", "/api/v1/storage/destinations/"+to, `{"name":"New Production Storage","bucket":"another-bucket"}`)
	feedSchedules(r, from, 3)
	feedPitr(r, from)
	path := "/api/v1/storage/destinations/" + from
	r.do(catalog.RoleOwner, "DELETE", path, "").refused(409, CodeStorageInUse)

	a := r.owner("POST", path+"/migrate", `{"targetStorageId":"`+to+`"}`)
	if a.at("message") != "Migrated 3 schedules and 1 PITR configurations to New Production Storage" ||
		fmt.Sprint(a.at("data")) != "map[pitrConfigsUpdated:1 schedulesUpdated:3 targetStorageId:"+to+" targetStorageName:New Production Storage]" {
		t.Errorf("%s", a.raw)
	}
	for id, want := range map[string]int{from: 0, to: 3} {
		linked := r.owner("GET", "/api/v1/storage/destinations/"+id+"/linked", "")
		if n := len(linked.at("data", "schedules").([]any)); n != want {
			t.Errorf("%s has %d schedules, want %d", id, n, want)
		}
		if n := len(linked.at("data", "pitrConfigurations").([]any)); n != want/3 {
			t.Errorf("%s has %d PITR configurations, want %d", id, n, want/3)
		}
	}
	// Files that the configuration wrote before the migration stay linked.
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		d, err := tx.Destination(org, from)
		if err != nil {
			return err
		}
		prefixes, err := tx.PitrPrefixes(catalog.BucketID(d), org)
		if err == nil && fmt.Sprintf("%s", prefixes) != "[wal/]" {
			t.Errorf("the old bucket has the prefixes %s", prefixes)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if a := r.owner("POST", path+"/migrate", `{"targetStorageId":"`+to+`"}`); a.at("message") != "Migrated 0 schedules and 0 PITR configurations to New Production Storage" {
		t.Errorf("with nothing to migrate: %s", a.raw)
	}
	r.owner("DELETE", path, "")
}

func TestMigrateIsRefused(t *testing.T) {
	r := newRig(t, mem.Options{})
	from, to := r.destination(), r.destination()
	feedSchedules(r, from, 1)
	path := "/api/v1/storage/destinations/" + from + "/migrate"
	for _, body := range []string{`{}`, `{"targetStorageId":null}`, `{"targetStorageId":""}`, `{"targetStorageId":7}`, `{"targetStorageId":"` + from + `"}`} {
		if f := r.do(catalog.RoleOwner, "POST", path, body).refused(400, CodeValidation); f["targetStorageId"] == nil {
			t.Errorf("%s: %v", body, f)
		}
	}
	r.do(catalog.RoleOwner, "POST", path, `{"targetStorageId":"storage_none"}`).refused(404, CodeStorageNotFound)
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/destinations/storage_none/migrate", `{"targetStorageId":"`+to+`"}`).refused(404, CodeStorageNotFound)
	r.do(catalog.RoleMember, "POST", path, `{"targetStorageId":"`+to+`"}`).refused(403, CodeDenied)
	if n := len(r.owner("GET", "/api/v1/storage/destinations/"+from+"/linked", "").at("data", "schedules").([]any)); n != 1 {
		t.Errorf("a refused migration moved the schedule: %d are left", n)
	}
}

// TestMigrateAllOrNothing: a file that the configuration would link is being deleted in
// the target.
func TestMigrateAllOrNothing(t *testing.T) {
	r := newRig(t, mem.Options{})
	from, to := r.destination(), r.destination()
	r.owner("PUT", "/api/v1/storage/destinations/"+to, `{"bucket":"another-bucket","path":""}`)
	feedSchedules(r, from, 2)
	feedPitr(r, from)
	r.fill(to, []index.Entry{{Path: []byte("wal/1"), Size: 1, ModTime: 1e12, Type: index.Pitr}})
	var revision uint64
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		d, err := tx.Destination(org, to)
		revision = d.GetRevision()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	r.propose(&pb.BeginDelete{Org: org, DestinationId: to, Id: "del_1", Who: "w", Node: "n1", At: r.now.UnixMilli(), Revision: revision, Paths: [][]byte{[]byte("wal/1")}})
	r.do(catalog.RoleOwner, "POST", "/api/v1/storage/destinations/"+from+"/migrate", `{"targetStorageId":"`+to+`"}`).refused(409, CodeBeingDeleted)
	linked := r.owner("GET", "/api/v1/storage/destinations/"+from+"/linked", "")
	if n := len(linked.at("data", "schedules").([]any)) + len(linked.at("data", "pitrConfigurations").([]any)); n != 3 {
		t.Errorf("%d of 3 are left where they were", n)
	}
}
