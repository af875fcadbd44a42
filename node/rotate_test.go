package node

import (
	"bytes"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// TestRotate: after two rotations the first key opens nothing any more, and every
// credential is there as it was.
func TestRotate(t *testing.T) {
	n := run(t, testConfig(t))
	plain := "wJalrXUtnFEMI"
	seal := func(id string) {
		t.Helper()
		sealed, err := n.keys.Seal("acme", id, "secretAccessKey", plain)
		if err != nil {
			t.Fatal(err)
		}
		d := &pb.Destination{
			Org: "acme", Id: id, Name: "n", Type: catalog.TypeS3, Bucket: "b", CreatedAt: 1, UpdatedAt: 1,
			Sealed: map[string][]byte{"secretAccessKey": sealed},
		}
		if _, err := n.cluster.Propose(t.Context(), &pb.PutDestination{Create: true, Destination: d}); err != nil {
			t.Fatal(err)
		}
	}
	seal("storage_1")
	seal("storage_2")
	first, err := n.keys.stored()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if count, err := (rotation{n.keys, n.cluster}).Rotate(t.Context()); count != 2 || err != nil {
			t.Fatalf("rotated %d destinations, %v", count, err)
		}
	}
	before, err := catalog.OpenKeyring(n.keys.kek, first)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"storage_1", "storage_2"} {
		var d *pb.Destination
		if err := n.catalog.View(func(tx *catalog.Tx) (err error) {
			d, err = tx.Destination("acme", id)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		sealed := d.Sealed["secretAccessKey"]
		if got, err := n.keys.Open("acme", id, "secretAccessKey", sealed); err != nil || got != plain {
			t.Errorf("%s opens as %q, %v", id, got, err)
		}
		if _, err := before.Open("acme", id, "secretAccessKey", sealed); err == nil {
			t.Errorf("%s is still sealed with the first key", id)
		}
		if d.UpdatedAt != 1 {
			t.Errorf("%s counts as edited", id)
		}
	}
	now, err := n.keys.stored()
	if err != nil || bytes.Equal(now, first) {
		t.Errorf("the keyset is the first one: %v", err)
	}
}
