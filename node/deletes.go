package node

import (
	"context"
	"crypto/rand"

	"golang.org/x/sync/errgroup"

	"firescan/deletion"
)

// newDeleter returns the deleter of this node.
func (n *Node) newDeleter() *deletion.Deleter {
	d := deletion.New(deletion.Config{
		Node: n.id, Boot: rand.Text(), Catalog: n.catalog, Proposer: n.cluster, Verdicts: n.cluster, Buckets: n.buckets, Shards: n.scan.replicator,
		Thresholds: n.config.Guards,
		Logger:     n.log, Registerer: n.registry,
	})
	n.later(func() error { d.Close(); return nil })
	return d
}

// coordinate runs the leader's work on buckets: syncs, recovery of open deletions, and the
// holders of removed nodes.
func (n *Node) coordinate(ctx context.Context) error {
	parts, failed := errgroup.WithContext(ctx)
	parts.Go(func() error { return n.scan.coordinator.Run(failed, n.cluster.Term()) })
	parts.Go(func() error { return n.deleter.Recover(failed) })
	parts.Go(func() error { return n.scan.replicator.ForgetDeparted(failed) })
	return parts.Wait()
}
