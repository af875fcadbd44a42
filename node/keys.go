package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// errNoKeyset is returned until a leader has created the keyset.
var errNoKeyset = errors.New("the cluster has no keyset for credentials yet: its first leader creates it; try again shortly")

// proposer proposes commands to the catalog.
type proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// keys encrypts and decrypts credentials with the keyset in the catalog.
// It is safe for concurrent use.
type keys struct {
	catalog *catalog.Catalog
	// keks returns the keys that may have encrypted the keyset: the one to use, and, during
	// a rotation of the cluster secret, others.
	keks func() ([][]byte, error)

	mu     sync.Mutex
	keyset []byte // from which ring was opened
	ring   *catalog.Keyring
}

// Seal encrypts one credential field of a destination.
func (k *keys) Seal(org, dest, field, plain string) ([]byte, error) {
	ring, err := k.open()
	if err != nil {
		return nil, err
	}
	return ring.Seal(org, dest, field, plain)
}

// Open decrypts a credential field that Seal encrypted.
func (k *keys) Open(org, dest, field string, sealed []byte) (string, error) {
	ring, err := k.open()
	if err != nil {
		return "", err
	}
	return ring.Open(org, dest, field, sealed)
}

// stored returns the keyset in the catalog, empty before there is one.
func (k *keys) stored() (keyset []byte, err error) {
	err = k.catalog.View(func(tx *catalog.Tx) error {
		keyset = tx.Keyset()
		return nil
	})
	return keyset, err
}

// open returns the keyring of the stored keyset, which a rotation may have replaced.
func (k *keys) open() (*catalog.Keyring, error) {
	keyset, err := k.stored()
	if err != nil {
		return nil, err
	}
	if len(keyset) == 0 {
		return nil, errNoKeyset
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring != nil && bytes.Equal(keyset, k.keyset) {
		return k.ring, nil
	}
	keks, err := k.keks()
	if err != nil {
		return nil, err
	}
	kek, err := kekOf(keks, keyset)
	if err != nil {
		return nil, err
	}
	ring, err := catalog.OpenKeyring(kek, keyset)
	if err != nil {
		return nil, err
	}
	k.ring, k.keyset = ring, keyset
	return ring, nil
}

// kekOf returns the key that a keyset is encrypted with.
func kekOf(keks [][]byte, keyset []byte) (_ []byte, err error) {
	for _, kek := range keks {
		if _, err = catalog.OpenKeyring(kek, keyset); err == nil {
			return kek, nil
		}
	}
	return nil, fmt.Errorf("open the keyset for credentials: %w (was the node started with another cluster secret or master key than before? "+
		"after a rotation that it missed, its secret file needs the new secret and, below, the old one)", err)
}

// rewrap encrypts the stored keyset with the key to use now.
func (k *keys) rewrap(ctx context.Context, to proposer) error {
	stored, err := k.stored()
	if err != nil || len(stored) == 0 {
		return err
	}
	keks, err := k.keks()
	if err != nil {
		return err
	}
	kek, err := kekOf(keks, stored)
	if err != nil || bytes.Equal(kek, keks[0]) {
		return err
	}
	wrapped, err := catalog.Rewrap(kek, keks[0], stored)
	if err != nil {
		return err
	}
	if _, err := to.Propose(ctx, &pb.PutKeyset{Keyset: wrapped, Replaces: stored}); err != nil {
		return fmt.Errorf("store the keyset for credentials: %w", err)
	}
	return nil
}

// create stores the first keyset in the catalog. Only the leader calls it.
func (k *keys) create(ctx context.Context, to proposer) error {
	if keyset, err := k.stored(); err != nil || len(keyset) > 0 {
		return err
	}
	keks, err := k.keks()
	if err != nil {
		return err
	}
	keyset, err := catalog.NewKeyset(keks[0])
	if err != nil {
		return fmt.Errorf("create a keyset for credentials: %w", err)
	}
	if _, err := to.Propose(ctx, &pb.PutKeyset{Keyset: keyset}); err != nil && !errors.Is(err, catalog.ErrConflict) {
		return fmt.Errorf("store the keyset for credentials: %w", err)
	}
	return nil
}
