package deletion

import (
	"errors"
	"strings"
	"testing"

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
