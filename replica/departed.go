package replica

import (
	"context"
	"fmt"
	"slices"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// forgetEvery is how often the leader looks for nodes that have left.
const forgetEvery = 5 * time.Second

// ForgetDeparted takes what nodes that have left the group are said to hold out of the
// catalog, until ctx ends. It is the leader's; a node that joins again says anew what it holds.
func (k *Keeper) ForgetDeparted(ctx context.Context) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		if err := k.forgetDeparted(ctx); err != nil && ctx.Err() == nil {
			k.Logger.Warn("a node that has left could not be forgotten; tried again in some seconds", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (k *Keeper) forgetDeparted(ctx context.Context) error {
	if k.Replicas == nil {
		return nil
	}
	// The catalog first: who joins and says what it holds in between must not be forgotten.
	var said []string
	if err := k.Catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.AllDestinations()
		for _, d := range all {
			held, err := tx.Holders(d.Id)
			if err != nil {
				return err
			}
			for _, h := range held {
				said = append(said, h.Node)
			}
		}
		return err
	}); err != nil {
		return fmt.Errorf("read which nodes hold shards: %w", err)
	}
	members := map[string]bool{}
	for _, m := range k.Replicas.Members() {
		members[m.ID] = true
	}
	if !members[k.Node] {
		return nil // this node does not know who belongs to the group
	}
	slices.Sort(said)
	for _, node := range slices.Compact(said) {
		if members[node] {
			continue
		}
		k.Logger.Info("a node has left; it counts as a holder of shards no longer", "peer", node)
		if _, err := k.Proposer.Propose(ctx, &pb.ForgetNode{Node: node}); err != nil {
			return err
		}
	}
	return nil
}
