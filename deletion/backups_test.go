package deletion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
	"firescan/provider/mem"
)

// backup stores a record.
func (r *deleteRig) backup(id, path string, files ...string) {
	r.t.Helper()
	b := &pb.Backup{Org: org, Id: id, StorageId: destID, Status: "completed", StoragePath: []byte(path), CreatedAt: 1}
	for _, f := range files {
		b.Files = append(b.Files, []byte(f))
	}
	if res := r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}}); len(res.Rejected) > 0 {
		r.t.Fatalf("record %s: %v", id, res.Rejected)
	}
}

// records lists the ids of all backup records.
func (r *deleteRig) records() (ids []string) {
	r.t.Helper()
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		list, err := tx.Backups(org, destID, "", 0)
		for _, b := range list {
			ids = append(ids, b.Id)
		}
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return ids
}

func (r *deleteRig) deleteBackups(files bool, ids ...string) (byID map[string]BackupOutcome, deleted int) {
	r.t.Helper()
	got, err := r.deleter.DeleteBackups(context.Background(), BackupsRequest{Destination: r.destination(destID), Who: "tok_1", IDs: ids, Files: files})
	if err != nil {
		r.t.Fatal(err)
	}
	byID = map[string]BackupOutcome{}
	for i, o := range got.Outcomes {
		if o.ID != ids[i] {
			r.t.Fatalf("outcome %d is of %s, want %s", i, o.ID, ids[i])
		}
		byID[o.ID] = o
	}
	return byID, got.Files
}

func TestDeleteBackups(t *testing.T) {
	for name, ignored := range conditioned {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{Ignore: ignored})
			r.account.Fill(bucket, 10, old,
				"a/one", "a/one.backup", "a/one.meta.json", "a/one-more.backup", "a/one.d/other.backup", "a/one2.backup", "parts/1", "parts/2",
				"b/two.backup", "b/shared.bin", "b/three.backup", "elsewhere/four.backup")
			r.account.Fill(bucket, 0, old, "a/", "empty/")
			r.backup("one", "a/one.backup", "parts/1", "parts/2")
			r.backup("two", "b/two.backup", "b/shared.bin")
			r.backup("three", "b/three.backup", "b/shared.bin")
			r.backup("lost", "b/lost.backup")
			r.backup("nameless", "")
			r.sync()
			got, files := r.deleteBackups(true, "one", "two", "lost", "nothing", "nameless", "one")
			for id, want := range map[string]BackupOutcome{
				"one": {Deleted: true, FilesDeleted: true}, "lost": {Deleted: true, FilesDeleted: true}, "nameless": {Deleted: true, FilesDeleted: true},
				"two": {Deleted: true, Err: catalog.ErrNotOrphan}, "nothing": {Err: catalog.ErrNotFound},
			} {
				if o := got[id]; o.Deleted != want.Deleted || o.FilesDeleted != want.FilesDeleted || !errors.Is(o.Err, want.Err) {
					t.Errorf("%s: %+v, want %+v", id, o, want)
				}
			}
			if files != 6 {
				t.Errorf("%d files deleted, want 6", files)
			}
			if left := r.records(); !slices.Equal(left, []string{"three"}) {
				t.Errorf("records left: %q", left)
			}
			want := []string{"a/one-more.backup", "a/one.d/other.backup", "a/one2.backup", "b/shared.bin", "b/three.backup", "elsewhere/four.backup"}
			if keys := r.keys(""); !slices.Equal(keys, want) {
				t.Errorf("the bucket has %q, want %q", keys, want)
			}
			r.agree()
			if n := r.intents(); len(n) > 0 {
				t.Errorf("intents %v", n)
			}
			// Without their files the records go alone, on record.
			if got, files = r.deleteBackups(false, "three", "nothing"); !got["three"].Deleted || got["three"].FilesDeleted || files != 0 || got["nothing"].Deleted {
				t.Errorf("%+v, %d files", got, files)
			}
			if keys := r.keys(""); !slices.Equal(keys, want) {
				t.Errorf("the bucket has %q, want %q", keys, want)
			}
			if last := r.audit()[0]; last.Who != "tok_1" || !slices.Equal(last.BackupIds, []string{"three"}) || len(last.Outcomes) > 0 {
				t.Errorf("audit: %v", last)
			}
		})
	}
}

// elsewhere puts a record into another destination, whose bucket is another one.
func (r *deleteRig) elsewhere(id, path string) {
	r.t.Helper()
	const other = "storage_2"
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.Destination(org, other)
		return err
	}); errors.Is(err, catalog.ErrNotFound) {
		d := r.destination(destID)
		d.Id, d.Bucket = other, "elsewhere"
		r.propose(&pb.PutDestination{Create: true, Destination: d})
	}
	b := &pb.Backup{Org: org, Id: id, StorageId: other, Status: "completed", StoragePath: []byte(path), CreatedAt: 1}
	if res := r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}}); len(res.Rejected) > 0 {
		r.t.Fatalf("record %s: %v", id, res.Rejected)
	}
}

// stored reports whether a record exists, in any destination.
func (r *deleteRig) stored(id string) bool {
	r.t.Helper()
	err := r.catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.Backup(org, id)
		return err
	})
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		r.t.Fatal(err)
	}
	return err == nil
}

// TestBackupsElsewhere: those of another destination are none of this one's, also when they
// come to be so in the middle of a deletion, or before it is settled.
func TestBackupsElsewhere(t *testing.T) {
	for _, files := range []bool{true, false} {
		r := newDeleteRig(t, mem.Options{})
		r.account.Fill(bucket, 10, old, "a.backup")
		r.elsewhere("bkp", "a.backup")
		if got, n := r.deleteBackups(files, "bkp"); !errors.Is(got["bkp"].Err, catalog.ErrNotFound) || n > 0 || !r.stored("bkp") || len(r.keys("")) != 1 {
			t.Errorf("of another destination: %+v, %d files, left %q", got, n, r.keys(""))
		}
	}

	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 10, old, "a.backup")
	r.backup("bkp", "a.backup")
	r.set(nil, func(_ int, what string) error {
		if what == "BeginDelete" {
			r.elsewhere("bkp", "a.backup")
		}
		return nil
	})
	if got, n := r.deleteBackups(true, "bkp"); got["bkp"].Deleted || !errors.Is(got["bkp"].Err, ErrRecordKept) || n != 1 || !r.stored("bkp") {
		t.Errorf("moved meanwhile: %+v, %d files", got, n)
	}

	r = newDeleteRig(t, mem.Options{})
	r.backup("bkp", "a.backup")
	r.propose(&pb.BeginDelete{
		Org: org, DestinationId: destID, Id: "del_1", Node: "node2/1", At: 1, Revision: 1, BackupIds: []string{"bkp"}, Paths: [][]byte{[]byte("a.backup")},
	})
	r.elsewhere("bkp", "a.backup")
	if r.recoverAbandoned(); len(r.intents()) > 0 || !r.stored("bkp") {
		t.Errorf("moved before it was settled: intents %v", r.intents())
	}
}

// TestBackupsThatShareAFile deletes two in one request that need the same file.
func TestBackupsThatShareAFile(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 10, old, "a.backup", "b.backup", "shared.bin")
	r.backup("a", "a.backup", "shared.bin")
	r.backup("b", "b.backup", "shared.bin")
	got, files := r.deleteBackups(true, "a", "b")
	if !got["a"].FilesDeleted || !got["b"].FilesDeleted || files != 3 || len(r.keys("")) > 0 || len(r.records()) > 0 {
		t.Errorf("%+v, %d files; left %q, %q", got, files, r.keys(""), r.records())
	}
}

// TestBackupWithTooManyFiles deletes nothing of a backup whose stem millions of files share.
func TestBackupWithTooManyFiles(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.deleter.limits.held = 20 * candidateSize
	var files []string
	for i := range 35 {
		files = append(files, fmt.Sprintf("big.part-%02d", i))
	}
	r.account.Fill(bucket, 10, old, append(files, "big.backup", "small.backup")...)
	r.backup("big", "big.backup")
	r.backup("small", "small.backup")
	if got, _ := r.deleteBackups(true, "big"); got["big"].Deleted || !errors.Is(got["big"].Err, ErrTooManyFiles) {
		t.Errorf("%+v", got)
	}
	if n := len(r.keys("")); n != 37 {
		t.Errorf("%d files are left", n)
	}
	if got, _ := r.deleteBackups(true, "small"); !got["small"].FilesDeleted {
		t.Errorf("%+v", got)
	}
}

// TestBackupWithManyFiles takes more than one intent for it.
func TestBackupWithManyFiles(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.deleter.limits.paths = 10
	var files []string
	for i := range 35 {
		files = append(files, fmt.Sprintf("part-%02d", i))
	}
	r.account.Fill(bucket, 10, old, append(files, "big.backup", "small.backup")...)
	r.backup("big", "big.backup", files...)
	r.backup("small", "small.backup")
	got, n := r.deleteBackups(true, "small", "big")
	if !got["big"].Deleted || !got["big"].FilesDeleted || !got["small"].Deleted || n != 37 || len(r.keys("")) > 0 {
		t.Errorf("%+v, %d files; left %q", got, n, r.keys(""))
	}
	if audit := r.audit(); len(audit) != 5 {
		t.Errorf("%d intents, want 5", len(audit))
	}
}

// TestBackupIsKeptWithItsFile has files that cannot be deleted.
func TestBackupIsKeptWithItsFile(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Faults: mem.Faults{Delete: func(_ context.Context, _, key string) error {
		if key == "b.meta" {
			return &provider.Error{Kind: provider.Denied, Op: "delete", Reason: "it is locked"}
		}
		return nil
	}}})
	r.account.Fill(bucket, 10, old, "a.backup", "b.backup", "b.meta", "c.backup")
	for _, id := range []string{"a", "b", "c"} {
		r.backup(id, id+".backup")
	}
	r.propose(&pb.BeginDelete{Org: org, DestinationId: destID, Id: "del_other", Node: "node2/1", At: 1, Revision: 1, BackupIds: []string{"c"}, Paths: [][]byte{[]byte("c.backup")}})
	got, files := r.deleteBackups(true, "a", "b", "c")
	if !got["a"].Deleted || files != 2 {
		t.Errorf("%+v, %d files", got, files)
	}
	if o := got["b"]; o.Deleted || o.FilesDeleted || provider.KindOf(o.Err) != provider.Denied {
		t.Errorf("a file that cannot be deleted: %+v", o)
	}
	if o := got["c"]; o.Deleted || !errors.Is(o.Err, catalog.ErrBeingDeleted) {
		t.Errorf("a file that is being deleted: %+v", o)
	}
	if left := r.records(); !slices.Equal(left, []string{"b", "c"}) {
		t.Errorf("records left: %q", left)
	}
}

// TestBackupOfAFolder: the files below a folder that a record names stay, which the outcome
// reports, also where the record has files that are deleted.
func TestBackupOfAFolder(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 10, old, "folder/1", "folder/2", "mixed/part/1", "mixed.backup", "plain.backup")
	for id, names := range map[string][]string{"folder": {"/folder/"}, "mixed": {"mixed.backup", "mixed/part/"}, "plain": {"plain.backup"}} {
		b := &pb.Backup{Org: org, Id: id, StorageId: destID, CreatedAt: 1, StoragePath: []byte(names[0])}
		for _, f := range names[1:] {
			b.Files = append(b.Files, []byte(f))
		}
		r.putResolved(b)
	}
	r.sync()
	got, files := r.deleteBackups(true, "folder", "mixed", "plain")
	for _, id := range []string{"folder", "mixed"} {
		if o := got[id]; !o.Deleted || o.FilesDeleted || !errors.Is(o.Err, ErrFolder) {
			t.Errorf("%s: %+v", id, o)
		}
	}
	if o := got["plain"]; !o.Deleted || !o.FilesDeleted || o.Err != nil {
		t.Errorf("plain: %+v", o)
	}
	if left := r.keys(""); files != 2 || !slices.Equal(left, []string{"folder/1", "folder/2", "mixed/part/1"}) {
		t.Errorf("%d files deleted, left: %q", files, left)
	}
}
