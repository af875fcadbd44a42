package deletion

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider/mem"
)

// TestMovedDestination: the files of a backup are where its destination lay when the record was
// written. Whatever is edited later, no object of the same name elsewhere is deleted.
func TestMovedDestination(t *testing.T) {
	for name, edit := range map[string]func(d *pb.Destination){
		"bucket":   func(d *pb.Destination) { d.Bucket = "other" },
		"endpoint": func(d *pb.Destination) { d.Endpoint = "http://127.0.0.1:9999" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{})
			r.account.Fill(bucket, 10, old, "x/k.backup", "x/k.meta")
			put := func(id, path string) {
				d := r.destination(destID)
				b := &pb.Backup{Org: org, Id: id, StorageId: destID, StoragePath: []byte(path), CreatedAt: 1}
				if err := catalog.NewResolver([]*pb.Destination{d}).ResolveBackup(b); err != nil {
					t.Fatal(err)
				}
				if res := r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}}); len(res.Rejected) > 0 {
					t.Fatalf("record %s: %v", id, res.Rejected)
				}
			}
			put("before", "x/k.backup")
			before := r.destination(destID)
			moved := proto.CloneOf(before)
			edit(moved)
			if moved.Bucket != bucket {
				r.account.Fill(moved.Bucket, 10, old, "x/k.backup", "x/k.meta", "x/new.backup")
			}
			r.propose(&pb.PutDestination{Destination: moved, KeepPlace: true})
			put("before", "x/k.backup") // the feed sends it again
			got, files := r.deleteBackups(true, "before")
			err, _ := errors.AsType[*catalog.Error](got["before"].Err)
			if got["before"].Deleted || files != 0 || !errors.Is(got["before"].Err, catalog.ErrMoved) || !strings.Contains(err.Message, bucket) {
				t.Fatalf("after the move: %+v, %d files", got["before"], files)
			}
			for _, in := range []string{bucket, moved.Bucket} {
				for _, key := range []string{"x/k.backup", "x/k.meta"} {
					if _, err := r.account.Bucket(in).Stat(t.Context(), key); err != nil {
						t.Fatalf("%q in bucket %s: %v", key, in, err)
					}
				}
			}
			// The record alone can be deleted, and so can the files once it has moved back.
			put("other", "x/k.backup")
			if _, files := r.deleteBackups(true, "other"); files != 0 {
				t.Fatal("a file that an older record may need was deleted")
			}
			back := proto.CloneOf(r.destination(destID))
			back.Bucket, back.Endpoint = before.Bucket, before.Endpoint
			r.propose(&pb.PutDestination{Destination: back, KeepPlace: true})
			if got, files := r.deleteBackups(true, "before"); !got["before"].Deleted || files != 2 {
				t.Fatalf("after the move back: %+v, %d files", got["before"], files)
			}
		})
	}
}

// TestMovedFiles: the path of a destination is edited, its files are moved there, and the
// records are not imported again. Until they are, no plan has the files that the records mean.
func TestMovedFiles(t *testing.T) {
	for name, manual := range map[string]bool{"resolved": false, "as they are": true} {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{})
			edit := func(path string) {
				d := proto.CloneOf(r.destination(destID))
				d.Path = path
				r.propose(&pb.PutDestination{Destination: d, KeepPlace: true})
			}
			put := func(id, path string) {
				if manual {
					r.backup(id, path)
					return
				}
				r.putResolved(&pb.Backup{Org: org, Id: id, StorageId: destID, CreatedAt: 1, StoragePath: []byte(path)})
			}
			edit("a")
			put("x", "a/x.backup")
			put("y", "a/deep/y.backup")
			edit("b")
			put("known", "b/known.backup")
			put("known2", "b/known2.backup")
			put("known3", "b/known3.backup")
			r.account.Fill(bucket, 10, old, "b/x.backup", "b/elsewhere/y.backup", "b/orphan.backup", "b/known.backup", "b/known2.backup", "b/known3.backup")
			r.sync()
			req := r.cleanupRequest()
			plan, err := r.deleter.Plan(t.Context(), req)
			if err != nil || plan.Missing != 0 || plan.NotLookedFor != 2 || plan.Files != 1 || plan.Resembling.Files != 2 {
				t.Fatalf("plan: %+v, %v", plan, err)
			}
			if got := r.met(req); !slices.Equal(got, []string{GuardMissing}) {
				t.Fatalf("guards %v", got)
			}
			if g := plan.Guards[0]; !strings.Contains(g.Saw, "2 files of backups were not looked for") || len(g.Examples) != 2 || !strings.Contains(g.Examples[0], "a/x.backup") {
				t.Errorf("guard: %+v", g)
			}
			r.confirm(req)
			if left := r.keys("b/"); slices.Contains(left, "b/orphan.backup") || len(left) != 5 {
				t.Errorf("left: %q", left)
			}
			put("x", "b/x.backup")
			put("y", "b/elsewhere/y.backup")
			if plan, err = r.deleter.Plan(t.Context(), req); err != nil || plan.NotLookedFor != 0 || plan.Resembling.Files != 0 || plan.Files != 0 {
				t.Errorf("after the import: %+v, %v", plan, err)
			}
		})
	}
}

// TestStraysAreLookedUp: what is the object of a record that lies in the bucket, outside of
// the destination, is not deleted; after an edit of the bucket nothing is looked up.
func TestStraysAreLookedUp(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	d := proto.CloneOf(r.destination(destID))
	d.Path = "b"
	r.propose(&pb.PutDestination{Destination: d, KeepPlace: true})
	r.put("a/x.backup", "needed")
	r.put("b/renamed.backup", "needed")
	r.put("b/orphan.backup", "of nobody")
	r.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: &pb.Backup{
		Org: org, Id: "x", StorageId: destID, CreatedAt: 1, StoragePath: []byte("a/x.backup"), Revision: r.destination(destID).Revision,
	}}}}})
	r.sync()
	got := r.delete("b/renamed.backup", "b/orphan.backup")
	if o := got["b/renamed.backup"]; o.Deleted || !errors.Is(o.Err, ErrUnlisted) {
		t.Errorf("the object of a record: %+v", o)
	}
	if o := got["b/orphan.backup"]; !o.Deleted {
		t.Errorf("an orphan: %+v", o)
	}
	d = proto.CloneOf(r.destination(destID))
	d.Bucket, d.Path = "other", ""
	r.account.Fill("other", 10, old, "a/x.backup", "y.backup")
	r.propose(&pb.PutDestination{Destination: d, KeepPlace: true})
	r.sync()
	op := &operation{deleter: r.deleter, destination: r.destination(destID), bucket: r.account.Bucket("other")}
	if err := op.findUnseen(t.Context()); op.unseen.size() > 0 || err != nil {
		t.Errorf("in another bucket: %+v, %v", op.unseen, err)
	}
}
