package replica

import (
	"context"
	"slices"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// Await waits until enough nodes hold the result of a finished sync, so that it can be read
// as soon as it is promoted: all desired replicas, or one of them when the others take long.
// It returns the ids of the segments that no node has anymore; they must be listed again.
// The error is catalog.ErrNoReplica when no node makes progress copying.
func (r *Replicator) Await(ctx context.Context, d *pb.Destination, syncID string) (lost []string, err error) {
	if r.config.Peers == nil {
		return nil, nil
	}
	r.wake.Broadcast()
	w := awaiting{replicator: r, destination: d, sync: syncID, progressAt: time.Now()}
	var searched time.Time
	var took time.Duration
	tick := time.NewTicker(min(reconcileEvery, r.config.Timing.Return))
	defer tick.Stop()
	for {
		changed := r.config.Catalog.Changed()
		w.nodes = r.nodes(time.Now())
		done, err := w.isReplicated()
		if done || err != nil {
			return nil, err
		}
		select {
		case <-changed:
			continue
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if w.heldAt.IsZero() && time.Since(searched) >= idleShare*took {
			searched = time.Now()
			if lost, err = w.findLost(ctx); len(lost) > 0 || err != nil {
				return lost, err
			}
			took = time.Since(searched)
		}
	}
}

// awaiting is the wait of a finished sync for its replicas.
type awaiting struct {
	replicator  *Replicator
	destination *pb.Destination
	sync        string
	nodes       nodeSet
	// heldAt is when a desired node was first seen to hold all; missingAt, when segments
	// were first found on no known node; progressAt, when the nodes last made progress.
	heldAt, missingAt, progressAt time.Time
	copied                        int // segments on desired nodes, summed up
}

// isReplicated reports whether enough nodes hold the result.
func (w *awaiting) isReplicated() (bool, error) {
	res := result{id: w.sync}
	config := w.replicator.config
	if err := config.Catalog.View(func(tx *catalog.Tx) error {
		held, err := tx.Holders(w.destination.Id)
		for _, n := range held {
			if n.Generation == res.id && w.nodes.alive[n.Node] {
				res.holders = append(res.holders, n.Node)
			}
		}
		return err
	}); err != nil {
		return false, err
	}
	switch desired := w.aliveReplicas(); {
	case w.nodes.replicated(&res, desired):
		return true, nil
	case len(res.holders) == 0:
		if !w.heldAt.IsZero() { // the holder is gone: others start over
			w.heldAt, w.progressAt = time.Time{}, time.Now()
		}
	case w.heldAt.IsZero():
		w.heldAt = time.Now()
	case time.Since(w.heldAt) > config.Timing.AllReplicas:
		config.Logger.Warn("a new index does not have all of its replicas yet; it is used all the same", "sync", w.sync, "holders", res.holders)
		return true, nil
	}
	return false, nil
}

// aliveReplicas returns the desired nodes that are alive.
func (w *awaiting) aliveReplicas() []string {
	return slices.DeleteFunc(w.nodes.desired(w.destination.Id), func(node string) bool { return !w.nodes.alive[node] })
}

// findLost asks all nodes for the segments of the result. It returns those that are lost, and
// fails when no node makes progress.
func (w *awaiting) findLost(ctx context.Context) (lost []string, err error) {
	r := w.replicator
	var ids []string
	if err := r.config.Catalog.View(func(tx *catalog.Tx) error {
		files, _, err := segments(tx, w.sync)
		for _, s := range files {
			ids = append(ids, s.Id)
		}
		return err
	}); err != nil {
		return nil, err
	}
	has, unknown := r.findHolders(ctx, w.destination.Id, ids, w.nodes)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	own := make([]bool, len(ids))
	for i, id := range ids {
		own[i] = r.config.Index.Has(w.destination.Id, id)
	}
	has[r.config.Node] = own
	replicas, copied := w.aliveReplicas(), 0
	for i, id := range ids {
		found := false
		for node, held := range has {
			if held[i] {
				found = true
				if slices.Contains(replicas, node) {
					copied++
				}
			}
		}
		if !found {
			lost = append(lost, id)
		}
	}
	now := time.Now()
	switch {
	case len(lost) == 0:
		w.missingAt = time.Time{}
	case w.missingAt.IsZero():
		w.missingAt = now
	}
	if copied != w.copied {
		w.copied, w.progressAt = copied, now
	}
	if len(lost) > 0 && (unknown == nil || now.Sub(w.missingAt) >= r.config.Timing.Return) {
		return lost, nil
	}
	if len(replicas) > 0 && now.Sub(w.progressAt) >= r.config.Timing.Stuck {
		return nil, catalog.ErrNoReplica
	}
	return nil, nil
}
