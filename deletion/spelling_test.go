package deletion

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// putResolved stores a record as the API does.
func (r *rig) putResolved(b *pb.Backup) {
	r.t.Helper()
	var d *pb.Destination
	if err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		d, err = tx.Destination(org, b.StorageId)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	if err := catalog.NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
		r.t.Fatal(err)
	}
	if res := r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}}); len(res.Rejected) > 0 {
		r.t.Fatal(res.Rejected)
	}
}

// TestCleanupKeepsEverySpelling: records name their files in the forms that backup systems
// write; a cleanup deletes the true orphans and nothing else, and no record is missing.
func TestCleanupKeepsEverySpelling(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	spell := []func(key string) string{
		func(key string) string { return key },
		func(key string) string { return "/" + key },
		func(key string) string { return "./" + key },
		func(key string) string { return key + "\n" },
		func(key string) string { return "s3://" + bucket + "/" + key },
		func(key string) string {
			return "https://" + bucket + ".s3.amazonaws.com" + (&url.URL{Path: "/" + key}).EscapedPath()
		},
		func(key string) string { return "https://s3.example.com/" + bucket + "/" + url.PathEscape(key) },
		func(key string) string { return bucket + "/" + key },
	}
	needed, orphans := map[string]bool{}, map[string]bool{}
	for i := range 80 {
		key := fmt.Sprintf("backups/a b/k%02d.backup", i)
		r.put(key, key)
		if rnd.IntN(4) == 0 {
			orphans[key] = true
			continue
		}
		needed[key] = true
		b := &pb.Backup{Org: org, Id: fmt.Sprint("bkp", i), StorageId: destID, Status: "completed", CreatedAt: 1}
		location := []byte(spell[rnd.IntN(len(spell))](key))
		if rnd.IntN(3) == 0 {
			b.Files = [][]byte{location}
		} else {
			b.StoragePath = location
		}
		r.putResolved(b)
	}
	r.put("export/2024/output-0", "x")
	r.putResolved(&pb.Backup{Org: org, Id: "export", StorageId: destID, CreatedAt: 1, StoragePath: []byte("/export/2024/")})
	needed["export/2024/output-0"] = true
	r.sync()
	req := CleanupRequest{
		Destination: r.destination(destID), Who: "tok_1", Before: time.Now().UnixMilli(),
		Types: []index.Type{index.Backup, index.Meta, index.Auth, index.Pitr, index.Unknown},
	}
	plan, err := r.deleter.Plan(t.Context(), req)
	if err != nil || plan.Files != uint64(len(orphans)) {
		t.Fatalf("the plan deletes %d files, %v; want the %d orphans", plan.Files, err, len(orphans))
	}
	if _, err := r.deleter.Cleanup(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	left := r.keys("")
	for key := range needed {
		if !slices.Contains(left, key) {
			t.Errorf("%q is needed and was deleted", key)
		}
	}
	if len(left) != len(needed) {
		t.Errorf("%d files are left, want %d", len(left), len(needed))
	}
	view, err := r.keeper.View(t.Context(), destID)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	if missing, _, err := view.Missing(org, nil, 10); err != nil || len(missing) > 0 {
		t.Errorf("missing: %v, %v; every file exists", missing, err)
	}
}

// TestDeleteBackupInAnySpelling deletes the file that the record means, not one whose key is
// the text of the location.
func TestDeleteBackupInAnySpelling(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.put("a/k.backup", "x")
	r.put("a/k.meta", "y")
	r.put("a/other.backup", "z")
	r.putResolved(&pb.Backup{Org: org, Id: "b", StorageId: destID, CreatedAt: 1, StoragePath: []byte("s3://" + bucket + "/a/k.backup")})
	r.sync()
	result, err := r.deleter.DeleteBackups(t.Context(), BackupsRequest{Destination: r.destination(destID), IDs: []string{"b"}, Files: true})
	if err != nil || result.Files != 2 || !result.Outcomes[0].FilesDeleted {
		t.Fatalf("%+v, %v", result, err)
	}
	if left := r.keys(""); !slices.Equal(left, []string{"a/other.backup"}) {
		t.Errorf("left: %q", left)
	}
}

// TestNamesOfFilesMayBeFolders: no cleanup deletes what lies below a name that looks like that
// of a file, and its record is not missing, also after the record came later than the scan.
func TestNamesOfFilesMayBeFolders(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	for _, key := range []string{"x/dir.backup/base.backup", "x/dir.backup/wal/1.meta", "y/late.backup/1.backup", "y/parts/1.backup", "y/a.backup", "z/orphan.backup"} {
		r.put(key, key)
	}
	r.putResolved(&pb.Backup{Org: org, Id: "b", StorageId: destID, CreatedAt: 1, StoragePath: []byte("x/dir.backup")})
	r.sync()
	r.putResolved(&pb.Backup{Org: org, Id: "late", StorageId: destID, CreatedAt: 1, StoragePath: []byte("y/a.backup"), Files: [][]byte{[]byte("y/late.backup"), []byte("parts")}})
	req := CleanupRequest{
		Destination: r.destination(destID), Who: "tok_1", Before: time.Now().UnixMilli(),
		Types: []index.Type{index.Backup, index.Meta, index.Unknown},
	}
	plan, err := r.deleter.Plan(t.Context(), req)
	if err != nil || plan.Files != 1 {
		t.Errorf("the plan deletes %d files, %v; want the one that is an orphan", plan.Files, err)
	}
	for _, g := range plan.Guards {
		if g.Name == GuardMissing {
			t.Errorf("guard: %+v", g)
		}
	}
	for _, o := range r.delete("x/dir.backup/base.backup", "y/parts/1.backup") {
		if !errors.Is(o.Err, catalog.ErrNotOrphan) {
			t.Errorf("%s: %v, want that it belongs to a backup", o.Path, o.Err)
		}
	}
	result, err := r.deleter.DeleteBackups(t.Context(), BackupsRequest{Destination: r.destination(destID), IDs: []string{"b"}, Files: true})
	if err != nil || !result.Outcomes[0].Deleted || !errors.Is(result.Outcomes[0].Err, ErrFolder) {
		t.Errorf("deleting the backup: %+v, %v; want that its folder is left", result, err)
	}
}
