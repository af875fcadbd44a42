package catalog

import (
	"slices"
	"testing"
	"time"

	pb "firescan/catalog/catalogpb"
)

// proofsOf returns the destinations that have proven access to a bucket.
func proofsOf(t *testing.T, c *Catalog, bucketID string) (ids []string) {
	t.Helper()
	if err := c.View(func(tx *Tx) error {
		ids = keysOf(tx.bucket(inProofs), under(bucketID))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

// mustProve records that the credentials of a destination have listed its bucket.
func mustProve(t *testing.T, c *Catalog, org, id string, at int64) {
	t.Helper()
	if res := prove(t, c, org, id, at); res.GetCode() != "" {
		t.Fatalf("prove access of %s: %v", id, res)
	}
}

func prove(t *testing.T, c *Catalog, org, id string, at int64) *pb.Result {
	t.Helper()
	var m *pb.ProveAccess
	if err := c.View(func(tx *Tx) error {
		d, err := tx.Destination(org, id)
		m = &pb.ProveAccess{Org: org, Id: id, Revision: d.GetRevision(), Credentials: CredentialsDigest(d), At: at}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return apply(t, c, m)
}

// TestProveAccess: a proof is bound to the settings and the credentials that were used.
func TestProveAccess(t *testing.T) {
	c := openTest(t)
	d := testDestination("o", "d")
	d.Sealed = map[string][]byte{"k": {1}}
	mustPut(t, c, d, true)
	for name, m := range map[string]*pb.ProveAccess{
		"credentials":  {Org: "o", Id: "d", Revision: 1, Credentials: []byte("others"), At: 1},
		"settings":     {Org: "o", Id: "d", Revision: 2, Credentials: CredentialsDigest(d), At: 1},
		"organization": {Org: "p", Id: "d", Revision: 1, Credentials: CredentialsDigest(d), At: 1},
	} {
		if res := apply(t, c, m); res.GetCode() == "" {
			t.Errorf("a proof of other %s was recorded", name)
		}
	}
	if ids := proofsOf(t, c, BucketID(d)); len(ids) != 0 {
		t.Fatalf("proofs of %q", ids)
	}
	due := func(at time.Duration) (due bool) {
		t.Helper()
		if err := c.View(func(tx *Tx) error {
			d, err := tx.Destination("o", "d")
			if err != nil {
				return err
			}
			m, err := tx.NewProof(d, time.UnixMilli(at.Milliseconds()))
			due = m != nil
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return due
	}
	if !due(time.Hour) {
		t.Error("the first proof is not due")
	}
	mustProve(t, c, "o", "d", time.Hour.Milliseconds())
	if ids := proofsOf(t, c, BucketID(d)); !slices.Equal(ids, []string{"d"}) {
		t.Errorf("proofs of %q", ids)
	}
	if due(2*time.Hour) || !due(14*time.Hour) {
		t.Error("a proof is renewed too early or too late")
	}
}

// TestProofsOfOlderVersions: with the first proof, what older versions have listed counts as
// proven, and so does what cannot be known anymore.
func TestProofsOfOlderVersions(t *testing.T) {
	c := openTest(t)
	for _, id := range []string{"verified", "unproven", "gone", "first"} {
		mustPut(t, c, testDestination("o-"+id, id), true)
		putBackup(t, c, "o-"+id, &pb.Backup{Id: "b", StorageId: id, StoragePath: []byte("k")})
	}
	apply(t, c, &pb.SetVerified{Org: "o-verified", Id: "verified", Verified: true, Revision: 1})
	apply(t, c, &pb.DeleteDestination{Org: "o-gone", Id: "gone"})
	mustProve(t, c, "o-first", "first", 1)
	if ids := proofsOf(t, c, BucketID(testDestination("o", "x"))); !slices.Equal(ids, []string{"first", "gone", "verified"}) {
		t.Errorf("proofs of %q", ids)
	}
	// It happens once.
	apply(t, c, &pb.SetVerified{Org: "o-unproven", Id: "unproven", Verified: true, Revision: 1})
	mustProve(t, c, "o-first", "first", 2)
	if ids := proofsOf(t, c, BucketID(testDestination("o", "x"))); slices.Contains(ids, "unproven") {
		t.Errorf("proofs of %q", ids)
	}
}
