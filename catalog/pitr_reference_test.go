package catalog

import (
	"errors"
	"slices"
	"testing"

	pb "firescan/catalog/catalogpb"
)

// TestPitrSpellings: a prefix in another bucket or another spelling protects, keeps what it
// protected after a migration, and nothing after its deletion.
func TestPitrSpellings(t *testing.T) {
	c := openTest(t)
	a := &pb.Destination{Org: "o", Id: "a", Name: "a", Type: TypeS3, Bucket: "bucket-a", Path: "p"}
	b := &pb.Destination{Org: "o", Id: "b", Name: "b", Type: TypeS3, Bucket: "bucket-b"}
	apply(t, c, &pb.PutDestination{Create: true, Destination: a})
	apply(t, c, &pb.PutDestination{Create: true, Destination: b})
	r := NewResolver([]*pb.Destination{a, b})
	put := func(prefix string) {
		t.Helper()
		record := &pb.Record{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Org: "o", Id: "x", StorageId: "a", Prefix: []byte(prefix)}}}
		if err := r.ResolveRecord(record); err != nil {
			t.Fatal(err)
		}
		if res := apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{record}}); len(res.Rejected) > 0 {
			t.Fatal(res)
		}
	}
	protects := func(d *pb.Destination, key string) bool {
		t.Helper()
		var all [][]byte
		if err := c.View(func(tx *Tx) (err error) {
			all, err = tx.PitrPrefixes(BucketID(d), "o")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := c.scrub(t.Context()); err != nil {
			t.Errorf("scrub: %v", err)
		}
		return slices.ContainsFunc(all, func(p []byte) bool { return len(key) >= len(p) && key[:len(p)] == string(p) })
	}
	put("wal/")
	if !protects(a, "p/wal/1") || !protects(a, "wal/1") || protects(a, "other/1") || protects(b, "wal/1") {
		t.Error("a prefix relative to the destination's path")
	}
	put("s3://bucket-b/logs/")
	if !protects(b, "logs/1") || protects(b, "other/1") || !protects(a, "p/wal/1") {
		t.Error("an address in another bucket, after another prefix")
	}
	put("/")
	if !protects(a, "p/1") || protects(a, "q/1") {
		t.Error("the folder of the destination")
	}
	put("wal/")
	if res := apply(t, c, &pb.Migrate{Org: "o", FromId: "a", ToId: "b"}); res.Code != "" || res.Pitrs != 1 {
		t.Fatal(res)
	}
	if !protects(b, "wal/1") || !protects(a, "wal/1") {
		t.Error("after the migration")
	}
	apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindPitr, Ids: []string{"x"}})
	if protects(a, "p/wal/1") || protects(a, "wal/1") || protects(b, "logs/1") || protects(b, "wal/1") {
		t.Error("after the deletion")
	}
	for _, prefix := range []string{"s3://elsewhere/wal/", "s3://bucket-a/"} {
		if list, err := r.ResolvePrefix(a, []byte(prefix)); !errors.Is(err, ErrUnresolved) {
			t.Errorf("%s becomes %v, %v", prefix, list, err)
		}
	}
	if list, err := r.ResolvePrefix(b, []byte("/")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a whole bucket becomes %v, %v", list, err)
	}
}

// TestPitrMarks: no prefix may claim a file that is being deleted, in whatever bucket.
func TestPitrMarks(t *testing.T) {
	c := openTest(t)
	a := &pb.Destination{Org: "o", Id: "a", Name: "a", Type: TypeS3, Bucket: "bucket-a"}
	b := &pb.Destination{Org: "o", Id: "b", Name: "b", Type: TypeS3, Bucket: "bucket-b"}
	apply(t, c, &pb.PutDestination{Create: true, Destination: a})
	apply(t, c, &pb.PutDestination{Create: true, Destination: b})
	apply(t, c, &pb.BeginDelete{Org: "o", DestinationId: "b", Id: "del_1", Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte("logs/1")}})
	record := &pb.Record{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Org: "o", Id: "x", StorageId: "a", Prefix: []byte("s3://bucket-b/logs/")}}}
	if err := NewResolver([]*pb.Destination{a, b}).ResolveRecord(record); err != nil {
		t.Fatal(err)
	}
	res := apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{record}})
	if len(res.Rejected) != 1 || res.Rejected[0].Code != CodeBeingDeleted {
		t.Errorf("claiming a prefix with a marked file: %v", res)
	}
}
