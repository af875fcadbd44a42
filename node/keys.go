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
	kek     []byte

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
	ring, err := catalog.OpenKeyring(k.kek, keyset)
	if err != nil {
		return nil, fmt.Errorf("open the keyset for credentials: %w (was the node started with another cluster secret or master key than before?)", err)
	}
	k.ring, k.keyset = ring, keyset
	return ring, nil
}

// create stores the first keyset in the catalog. Only the leader calls it.
func (k *keys) create(ctx context.Context, to proposer) error {
	if keyset, err := k.stored(); err != nil || len(keyset) > 0 {
		return err
	}
	keyset, err := catalog.NewKeyset(k.kek)
	if err != nil {
		return fmt.Errorf("create a keyset for credentials: %w", err)
	}
	if _, err := to.Propose(ctx, &pb.PutKeyset{Keyset: keyset}); err != nil && !errors.Is(err, catalog.ErrConflict) {
		return fmt.Errorf("store the keyset for credentials: %w", err)
	}
	return nil
}
