package node

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const sealedText = "wJalrXUtnFEMI"

// seal makes a destination with a credential.
func (r *running) seal(t *testing.T, id string) {
	t.Helper()
	sealed, err := r.keys.Seal("acme", id, "secretAccessKey", sealedText)
	if err != nil {
		t.Fatal(err)
	}
	d := &pb.Destination{
		Org: "acme", Id: id, Name: "n", Type: catalog.TypeS3, Bucket: "b", CreatedAt: 1, UpdatedAt: 1,
		Sealed: map[string][]byte{"secretAccessKey": sealed},
	}
	if _, err := r.cluster.Propose(t.Context(), &pb.PutDestination{Create: true, Destination: d}); err != nil {
		t.Fatal(err)
	}
}

// opens checks that the credential of a destination is what it was, and gives the destination.
func (r *running) opens(t *testing.T, id string) (d *pb.Destination) {
	t.Helper()
	if err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		d, err = tx.Destination("acme", id)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.keys.Open("acme", id, "secretAccessKey", d.Sealed["secretAccessKey"]); err != nil || got != sealedText {
		t.Errorf("%s opens as %q, %v", id, got, err)
	}
	return d
}

// halfWay loses the leader in the middle of the sealing that follows a new key.
type halfWay struct {
	proposer
	lost bool
}

func (h *halfWay) Propose(ctx context.Context, m proto.Message) (*pb.Result, error) {
	if reseal, ok := m.(*pb.Reseal); ok && h.lost && reseal.Id == "storage_2" {
		return nil, errors.New("no leader")
	}
	if _, ok := m.(*pb.PutKeyset); ok {
		h.lost = true
	}
	return h.proposer.Propose(ctx, m)
}

// TestRotateHalfWay: a rotation that was given up costs nothing, neither at once nor when the
// next ones remove the keys before.
func TestRotateHalfWay(t *testing.T) {
	n := run(t, testConfig(t))
	n.seal(t, "storage_1")
	n.seal(t, "storage_2")
	if _, err := (rotation{n.keys, &halfWay{proposer: n.cluster}}).Rotate(t.Context()); err == nil {
		t.Fatal("a rotation without a leader")
	}
	for range 3 {
		n.opens(t, "storage_1")
		n.opens(t, "storage_2")
		if _, err := (rotation{n.keys, n.cluster}).Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRotate: after two rotations the first key opens nothing any more, and every
// credential is there as it was.
func TestRotate(t *testing.T) {
	n := run(t, testConfig(t))
	n.seal(t, "storage_1")
	n.seal(t, "storage_2")
	first, err := n.keys.stored()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if count, err := (rotation{n.keys, n.cluster}).Rotate(t.Context()); count != 2 || err != nil {
			t.Fatalf("rotated %d destinations, %v", count, err)
		}
	}
	keks, err := n.keys.keks()
	if err != nil {
		t.Fatal(err)
	}
	before, err := catalog.OpenKeyring(keks[0], first)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"storage_1", "storage_2"} {
		d := n.opens(t, id)
		if _, err := before.Open("acme", id, "secretAccessKey", d.Sealed["secretAccessKey"]); err == nil {
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
