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

// errNoKeyset is returned until a leader has made the keyset.
var errNoKeyset = errors.New("the cluster has no keyset for credentials yet: its first leader makes it; try again shortly")

// proposer brings commands into the catalog.
type proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// keys encrypts and decrypts credentials with the keyset that lies in the catalog.
// It is safe for concurrent use.
type keys struct {
	catalog *catalog.Catalog
	kek     []byte

	mu     sync.Mutex
	keyset []byte // that ring was opened from
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

// Open decrypts what Seal gave.
func (k *keys) Open(org, dest, field string, sealed []byte) (string, error) {
	ring, err := k.open()
	if err != nil {
		return "", err
	}
	return ring.Open(org, dest, field, sealed)
}

// stored reads the keyset from the catalog; it is empty before there is one.
func (k *keys) stored() (keyset []byte, err error) {
	err = k.catalog.View(func(tx *catalog.Tx) error {
		keyset = tx.Keyset()
		return nil
	})
	return keyset, err
}

// open is the keyring of the stored keyset, which a rotation may have replaced.
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
		return nil, fmt.Errorf("open the keyset for credentials (was the node started with another cluster secret or master key than before?): %w", err)
	}
	k.ring, k.keyset = ring, keyset
	return ring, nil
}

// make puts the first keyset into the catalog; it is the leader's to call.
func (k *keys) make(ctx context.Context, to proposer) error {
	if keyset, err := k.stored(); err != nil || len(keyset) > 0 {
		return err
	}
	keyset, err := catalog.NewKeyset(k.kek)
	if err != nil {
		return fmt.Errorf("make a keyset for credentials: %w", err)
	}
	if _, err := to.Propose(ctx, &pb.PutKeyset{Keyset: keyset}); err != nil && !errors.Is(err, catalog.ErrConflict) {
		return fmt.Errorf("store the keyset for credentials: %w", err)
	}
	return nil
}
