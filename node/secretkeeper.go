package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// secretKeeper has the cluster secrets of this node, and changes them on the word of the
// leader. It is safe for concurrent use.
type secretKeeper struct {
	dir           *dataDir
	masterKeyFile string
	keys          *keys
	// use makes the cluster use secrets.
	use func([][]byte) error
	// rotating is locked while this node leads a rotation.
	rotating sync.Mutex

	mu      sync.Mutex
	secrets secrets
	term    uint64 // the newest of a leader that has called
}

// keks returns the keys that may have encrypted the keyset, as keys needs them.
func (k *secretKeeper) keks() ([][]byte, error) {
	k.mu.Lock()
	s := k.secrets
	k.mu.Unlock()
	return k.keksOf(s)
}

func (k *secretKeeper) keksOf(s secrets) (keks [][]byte, err error) {
	for _, secret := range s.accepted() {
		kek, err := keyEncryptionKey(secret, k.masterKeyFile)
		if err != nil {
			return nil, err
		}
		keks = append(keks, kek)
	}
	return keks, nil
}

// A secretsOrder is what the leader tells a node during a rotation.
type secretsOrder struct {
	// Term is that of the leader. Orders of earlier leaders are refused.
	Term uint64 `json:"term"`
	// Set is nil to ask only.
	Set *secrets `json:"set,omitempty"`
}

// errNotRotated is returned for an order that this node must not follow.
var errNotRotated = errors.New("the cluster secret of this node was not changed")

// obey follows an order and returns the secrets after it. They are in the data directory
// before they are used, so a node that restarts goes on with them.
func (k *secretKeeper) obey(order secretsOrder) (secrets, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if order.Term < k.term {
		return k.secrets, fmt.Errorf("%w: the leader has changed", errNotRotated)
	}
	k.term = order.Term
	next := order.Set
	if next == nil {
		return k.secrets, nil
	}
	if !next.has(k.secrets.Current) {
		return k.secrets, fmt.Errorf("%w: it uses a secret that is not among the new ones", errNotRotated)
	}
	// A node that restarts before it has applied the command would not open the keyset.
	if err := k.opensKeyset(*next); err != nil {
		return k.secrets, fmt.Errorf("%w: %w", errNotRotated, err)
	}
	if err := writeFile(k.dir.join(secretFile), next.text()); err != nil {
		return k.secrets, err
	}
	k.secrets = *next
	return k.secrets, k.use(next.accepted())
}

func (k *secretKeeper) opensKeyset(s secrets) error {
	stored, err := k.keys.stored()
	if err != nil || len(stored) == 0 {
		return err
	}
	keks, err := k.keksOf(s)
	if err != nil {
		return err
	}
	_, err = kekOf(keks, stored)
	return err
}

// secretsPath is where other nodes receive orders.
const secretsPath = "/secrets"

// ServeHTTP receives an order of the leader. Its caller is a node of this cluster.
func (k *secretKeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var order secretsOrder
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSecrets)).Decode(&order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s, err := k.obey(order)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	_ = json.NewEncoder(w).Encode(s) // the caller sees what is missing
}

// maxSecrets bounds an order and its answer, in bytes.
const maxSecrets = 1 << 20
