package node

import (
	"context"
	"errors"
	"fmt"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// rotation replaces the key that credentials are sealed with. It implements api.Keys.
type rotation struct {
	keys *keys
	to   proposer
}

// Rotate makes a new key and seals every stored credential anew with it; it answers of
// how many destinations. The key before stays able to open, for what a node seals with it
// in this moment, and is removed by the next rotation. A rotation that fails half-way
// leaves all credentials readable, and is gone on with by the next.
func (r rotation) Rotate(ctx context.Context) (int, error) {
	// What an earlier rotation left behind would lose its key now.
	if _, err := r.resealAll(ctx); err != nil {
		return 0, err
	}
	stored, err := r.keys.stored()
	if err != nil {
		return 0, err
	}
	rotated, err := catalog.Rotate(r.keys.kek, stored)
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
			return 0, fmt.Errorf("seal the credentials of destination %s anew: %w", d.Id, err)
		}
	}
	return len(all), nil
}

// reseal does one destination, again when somebody edits it meanwhile. What was deleted
// needs no credentials.
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
