package catalog

import (
	"testing"

	pb "firescan/catalog/catalogpb"
)

// TestUnsettledIdentity: two destinations whose buckets may be one refuse deletions until a
// probe has compared them; then the links of both protect.
func TestUnsettledIdentity(t *testing.T) {
	c := openTest(t)
	put := func(org, id, endpoint string) *pb.Destination {
		d := &pb.Destination{Org: org, Id: id, Name: id, Type: TypeS3, Bucket: "backups", Endpoint: endpoint}
		apply(t, c, &pb.PutDestination{Create: true, Destination: d})
		return d
	}
	a := put("o", "a", "http://127.0.0.1:9000")
	begin := func(id, path string) *pb.Result {
		return apply(t, c, &pb.BeginDelete{Org: "o", DestinationId: "a", Id: id, Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte(path)}})
	}
	finish := func(id string) { apply(t, c, &pb.FinishDelete{Org: "o", Id: id, At: 1}) }

	// A destination of another organization counts only once its credentials worked.
	put("stranger", "s", "http://minio:9000")
	if res := begin("del_0", "x"); res.Code != "" {
		t.Fatalf("an unproven destination of a stranger: %v", res)
	}
	finish("del_0")
	apply(t, c, &pb.SetVerified{Org: "stranger", Id: "s", Verified: true, At: 1, Revision: 1})
	if res := begin("del_1", "x"); res.Code != CodeUnsettled {
		t.Fatalf("a proven one: %v, want %s", res, CodeUnsettled)
	}
	stranger := &pb.Destination{Type: TypeS3, Bucket: "backups", Endpoint: "http://minio:9000"}
	relate := func(other *pb.Destination, same bool) {
		if res := apply(t, c, &pb.SetBucketRelation{BucketId: BucketID(other), OtherId: BucketID(a), Same: same, At: 1}); res.Code != "" {
			t.Fatal(res)
		}
	}
	relate(stranger, false)
	if res := begin("del_2", "x"); res.Code != "" {
		t.Fatalf("found to be two buckets: %v", res)
	}
	finish("del_2")

	b := put("o", "b", "http://localhost:9000")
	if res := begin("del_3", "x"); res.Code != CodeUnsettled {
		t.Fatalf("two destinations of the organization: %v", res)
	}
	relate(b, true)
	putBackup(t, c, "o", &pb.Backup{Id: "bkp", StorageId: "b", StoragePath: []byte("k.backup")})
	if res := begin("del_4", "k.backup"); len(res.Rejected) != 1 || res.Rejected[0].Code != CodeNotOrphan {
		t.Errorf("a file that a record of the other destination needs: %v", res)
	}
	if res := begin("del_5", "y.backup"); len(res.Rejected) != 0 || res.Code != "" {
		t.Errorf("one that nobody needs: %v", res)
	}
	// While it is being deleted, no record of the other destination may claim it either.
	late := &pb.Backup{Org: "o", Id: "late", StorageId: "b", StoragePath: []byte("y.backup")}
	if res := apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: late}}}}); len(res.Rejected) != 1 || res.Rejected[0].Code != CodeBeingDeleted {
		t.Errorf("claiming it: %v", res)
	}
	pitr := &pb.Pitr{Org: "o", Id: "p", StorageId: "b", Prefix: []byte("y")}
	if res := apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: pitr}}}}); len(res.Rejected) != 1 || res.Rejected[0].Code != CodeBeingDeleted {
		t.Errorf("claiming its prefix: %v", res)
	}
}

func TestMayBeOne(t *testing.T) {
	for _, tc := range []struct {
		a, b *pb.Destination
		want bool
	}{
		{&pb.Destination{Type: TypeS3}, &pb.Destination{Type: TypeGCS}, false},
		{&pb.Destination{Type: TypeSpaces, Region: "nyc3"}, &pb.Destination{Type: TypeSpaces, Region: "ams3"}, false},
		{&pb.Destination{Type: TypeS3}, &pb.Destination{Type: TypeS3, Endpoint: "http://proxy:8080"}, true},
		{&pb.Destination{Type: TypeS3, Endpoint: "http://a:1"}, &pb.Destination{Type: TypeS3, Endpoint: "http://b:1"}, true},
		{&pb.Destination{Type: TypeS3, Endpoint: "http://a:1"}, &pb.Destination{Type: TypeGCS, Endpoint: "http://a:1"}, true},
	} {
		tc.a.Bucket, tc.b.Bucket = "backups", "backups"
		if got := mayBeOne(BucketID(tc.a), BucketID(tc.b)); got != tc.want {
			t.Errorf("%q and %q: %v, want %v", BucketID(tc.a), BucketID(tc.b), got, tc.want)
		}
		tc.b.Bucket = "backups2"
		if mayBeOne(BucketID(tc.a), BucketID(tc.b)) {
			t.Errorf("%q and %q have other names", BucketID(tc.a), BucketID(tc.b))
		}
	}
}
