package node

import (
	"errors"
	"fmt"
	"sync/atomic"

	"firescan/catalog"
	"firescan/cluster"
)

// errStarting is returned by check until the first leader has created what every request
// needs.
var errStarting = errors.New("the cluster is being set up: no keyset and root token yet")

// readiness reports whether this node can serve requests.
type readiness struct {
	cluster *cluster.Cluster
	catalog *catalog.Catalog
	self    string
	setUp   atomic.Bool // the keyset and the root token are in the catalog
	// prepared is set once this node leads and has created what every request needs. Only
	// then does a root token that was given replace the one before.
	prepared atomic.Bool
}

// check returns nil when this node can serve. Otherwise the client should try again
// shortly.
func (r *readiness) check() error {
	if err := r.cluster.Ready(); err != nil {
		return err
	}
	if r.setUp.Load() {
		return nil
	}
	if leader, _ := r.cluster.Leader(); leader == r.self && !r.prepared.Load() {
		return fmt.Errorf("%w: %w", cluster.ErrNoLeader, errStarting)
	}
	// The first leader creates them, and every node sees them in its catalog.
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		if !tx.RootTokenMade() || len(tx.Keyset()) == 0 {
			return errStarting
		}
		return nil
	}); err != nil {
		return fmt.Errorf("%w: %w", cluster.ErrNoLeader, err)
	}
	r.setUp.Store(true)
	return nil
}
