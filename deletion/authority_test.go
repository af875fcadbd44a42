package deletion

import (
	"errors"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider/mem"
)

// TestForeignRecords: what another organization claims in the bucket changes no plan until
// its credentials have listed the bucket. Then its files are kept, and counted.
func TestForeignRecords(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	for _, key := range []string{"bk1.backup", "bk2.backup", "own.backup", "shared.backup", "x.backup", "y.meta", "odd.bin"} {
		r.put(key, key)
	}
	r.backups("own.backup", "shared.backup")
	r.sync()
	req := CleanupRequest{
		Destination: r.destination(destID), Who: "tok_1", Before: time.Now().UnixMilli(),
		Types: []index.Type{index.Backup, index.Meta, index.Pitr},
	}
	plan := func() *Plan {
		t.Helper()
		p, err := r.deleter.Plan(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := plan()
	if before.Files != 4 || before.Skipped != (Skipped{UnknownType: 1}) {
		t.Fatalf("a plan of %d files, %+v", before.Files, before.Skipped)
	}

	r.log.Put(catalogtest.Destination("stranger", "storage_s", bucket))
	r.log.PutBackups("stranger", "storage_s", "x.backup", "shared.backup")
	pitr := &pb.Pitr{Id: "p", StorageId: "storage_s", Prefix: []byte("bk")}
	r.log.Must(&pb.PutRecords{Org: "stranger", Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: pitr}}}})
	for _, when := range []string{"by deltas", "by a sync"} {
		if got := plan(); got.Hash != before.Hash || got.Skipped != before.Skipped {
			t.Errorf("unproven records, %s: a plan of %d files, %+v", when, got.Files, got.Skipped)
		}
		r.sync()
	}

	theirs := catalogtest.Read(r.log, func(tx *catalog.Tx) (*pb.Destination, error) { return tx.Destination("stranger", "storage_s") })
	r.log.Must(&pb.ProveAccess{
		Org: "stranger", Id: "storage_s", Revision: theirs.Revision, Credentials: catalog.CredentialsDigest(theirs), At: time.Now().UnixMilli(),
	})
	r.sync()
	after := plan()
	if after.Files != 1 || string(after.First[0].Path) != "y.meta" || after.Skipped != (Skipped{UnknownType: 1, KeptForOthers: 3}) {
		t.Errorf("proven records: a plan of %d files, %+v, %+v", after.Files, after.First, after.Skipped)
	}
	req.Before = old.Add(-time.Hour).UnixMilli()
	if got := plan(); got.Files != 0 || got.Skipped != (Skipped{TooYoung: 1, UnknownType: 1}) {
		t.Errorf("young files: a plan of %d files, %+v", got.Files, got.Skipped)
	}
	req.Before = time.Now().UnixMilli()
	done, err := r.deleter.Cleanup(t.Context(), req)
	if err != nil || done.Deleted != 1 || done.Skipped != after.Skipped {
		t.Errorf("cleanup: %+v, %v", done, err)
	}
}

// TestMarksNeedAProof: deleting records that the credentials have listed the bucket, and a
// proof of replaced credentials does not do.
func TestMarksNeedAProof(t *testing.T) {
	faults := mem.Faults{}
	r := newDeleteRig(t, mem.Options{Faults: faults, Now: func() time.Time { return old }})
	r.put("a.backup", "a")
	if got := r.delete("a.backup"); got["a.backup"].Err != nil {
		t.Fatalf("the first deletion: %+v", got)
	}
	d := r.destination(destID)
	proof := catalogtest.Read(r.log, func(tx *catalog.Tx) (*pb.ProveAccess, error) { return tx.NewProof(d, time.Now()) })
	if proof != nil {
		t.Error("the deletion has recorded no proof")
	}
	d.Sealed = map[string][]byte{"k": []byte("other")}
	r.log.Must(&pb.PutDestination{Destination: d})
	_, err := r.node.Propose(t.Context(), &pb.BeginDelete{
		Org: org, DestinationId: destID, Id: "del_x", Node: "n", At: time.Now().UnixMilli(), Revision: d.Revision, Paths: [][]byte{[]byte("b.backup")},
	})
	if !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("a mark by replaced credentials: %v, want a conflict", err)
	}
}

// TestPlanOfOneBucketUnderTwoNames: what records need under another verified name of the bucket
// is in no plan, so that a cleanup has nothing to refuse; what only others need so is counted.
func TestPlanOfOneBucketUnderTwoNames(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	for _, key := range []string{"own.backup", "own.meta", "below/x/1.backup", "a//b.backup", "pitr2/log.backup", "theirs.backup", "o.backup"} {
		r.put(key, key)
	}
	for _, d := range []*pb.Destination{catalogtest.Destination(org, "storage_2", bucket), catalogtest.Destination("stranger", "storage_s", bucket)} {
		d.Endpoint = "http://127.0.0.1:9999"
		r.log.Put(d)
		r.log.Must(&pb.SetBucketRelation{BucketId: catalog.BucketID(r.destination(destID)), OtherId: catalog.BucketID(d), Same: true, At: 1})
	}
	r.log.PutBackups(org, "storage_2", "own.backup", "below/x", "a/b.backup")
	r.log.Must(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: "p", StorageId: "storage_2", Prefix: []byte("pitr2/")}}}}})
	r.log.PutBackups("stranger", "storage_s", "theirs.backup")
	theirs := catalogtest.Read(r.log, func(tx *catalog.Tx) (*pb.Destination, error) { return tx.Destination("stranger", "storage_s") })
	r.log.Must(&pb.ProveAccess{
		Org: "stranger", Id: "storage_s", Revision: theirs.Revision, Credentials: catalog.CredentialsDigest(theirs), At: time.Now().UnixMilli(),
	})
	r.sync()
	plan, err := r.deleter.Plan(t.Context(), r.cleanupRequest())
	if err != nil || plan.Files != 1 || string(plan.First[0].Path) != "o.backup" || plan.Skipped.KeptForOthers != 1 || plan.Meets(GuardNoBackups) {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	req := r.cleanupRequest()
	req.Confirm = plan.Hash
	done, err := r.deleter.Cleanup(t.Context(), req)
	if err != nil || done.Deleted != 1 || done.Failed != 0 {
		t.Errorf("cleanup: %+v, %v", done, err)
	}
}
