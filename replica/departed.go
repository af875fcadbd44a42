package replica

import (
	"context"
	"fmt"
	"slices"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// forgetEvery is the time between two checks for nodes that have left.
const forgetEvery = 5 * time.Second

// ForgetDeparted removes nodes that have left the cluster from the holders in the catalog,
// until ctx ends. The leader runs it; a node that joins again announces what it holds.
func (r *Replicator) ForgetDeparted(ctx context.Context) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		if err := r.forgetDeparted(ctx); err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("removing a departed node from the holders failed; retrying in some seconds", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *Replicator) forgetDeparted(ctx context.Context) error {
	if r.config.Peers == nil {
		return nil
	}
	// The catalog first: a node that joins and announces in between must not be removed.
	var holders []string
	if err := r.config.Catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.AllDestinations()
		for _, d := range all {
			held, err := tx.Holders(d.Id)
			if err != nil {
				return err
			}
			for _, h := range held {
				holders = append(holders, h.Node)
			}
		}
		return err
	}); err != nil {
		return fmt.Errorf("read which nodes hold shards: %w", err)
	}
	members := map[string]bool{}
	for _, m := range r.config.Peers.Members() {
		members[m.ID] = true
	}
	if !members[r.config.Node] {
		return nil // this node does not know the members
	}
	slices.Sort(holders)
	for _, node := range slices.Compact(holders) {
		if members[node] {
			continue
		}
		r.config.Logger.Info("a node has left; it is no longer a holder of shards", "peer", node)
		if _, err := r.config.Proposer.Propose(ctx, &pb.ForgetNode{Node: node}); err != nil {
			return err
		}
	}
	return nil
}
