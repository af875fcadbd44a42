package node

import (
	"context"
	"errors"
	"fmt"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// rotation replaces the key that seals credentials. It implements api.Keys.
type rotation struct {
	keys *keys
	to   proposer
}

// Rotate creates a new key, seals all stored credentials with it, and returns the number of
// destinations. The previous key can still open credentials, because a node may be sealing
// some with it; the next rotation removes it. After a rotation that fails half-way, all
// credentials are readable, and the next rotation completes it.
func (r rotation) Rotate(ctx context.Context) (int, error) {
	// Credentials that an earlier rotation did not reach would lose their key now.
	if _, err := r.resealAll(ctx); err != nil {
		return 0, err
	}
	stored, err := r.keys.stored()
	if err != nil {
		return 0, err
	}
	keks, err := r.keys.keks()
	if err != nil {
		return 0, err
	}
	kek, err := kekOf(keks, stored)
	if err != nil {
		return 0, err
	}
	rotated, err := catalog.Rotate(kek, stored)
	if err != nil {
		return 0, err
	}
	if _, err := r.to.Propose(ctx, &pb.PutKeyset{Keyset: rotated, Replaces: stored}); err != nil {
		return 0, fmt.Errorf("store the rotated keyset: %w", err)
	}
	return r.resealAll(ctx)
}

func (r rotation) resealAll(ctx context.Context) (int, error) {
	ring, err := r.keys.open()
	if err != nil {
		return 0, err
	}
	var all []*pb.Destination
	if err := r.keys.catalog.View(func(tx *catalog.Tx) (err error) {
		all, err = tx.AllDestinations()
		return err
	}); err != nil {
		return 0, err
	}
	for _, d := range all {
		if err := r.reseal(ctx, ring, d); err != nil {
			return 0, fmt.Errorf("reseal the credentials of destination %s: %w", d.Id, err)
		}
	}
	return len(all), nil
}

// reseal reseals the credentials of one destination, and tries again after a concurrent
// edit. A deleted destination is no error.
func (r rotation) reseal(ctx context.Context, ring *catalog.Keyring, d *pb.Destination) error {
	for {
		sealed := make(map[string][]byte, len(d.Sealed))
		for field, old := range d.Sealed {
			plain, err := ring.Open(d.Org, d.Id, field, old)
			if err != nil {
				return err
			}
			if sealed[field], err = ring.Seal(d.Org, d.Id, field, plain); err != nil {
				return err
			}
		}
		_, err := r.to.Propose(ctx, &pb.Reseal{Org: d.Org, Id: d.Id, Sealed: sealed, BaseUpdatedAt: d.UpdatedAt})
		if !errors.Is(err, catalog.ErrConflict) {
			return unlessMissing(err)
		}
		if err := r.keys.catalog.View(func(tx *catalog.Tx) (err error) {
			d, err = tx.Destination(d.Org, d.Id)
			return err
		}); err != nil {
			return unlessMissing(err)
		}
	}
}

func unlessMissing(err error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	return err
}
