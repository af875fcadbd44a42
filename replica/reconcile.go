package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	// afterChange is the time from a change in the catalog to the next pass while a sync
	// runs, so that many changes are handled at once.
	afterChange = 50 * time.Millisecond
	// idleShare is how many times the duration of a pass the replicator then waits at least.
	idleShare = 4
)

// Run reconciles all shards until ctx ends: it fetches desired replicas and removes others.
// A damaged shard is fetched again; when no node has it, its destination is synced.
func (r *Replicator) Run(ctx context.Context) error {
	defer r.work.Wait()
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	for {
		changed, woken := r.config.Catalog.Changed(), r.wake.Wait()
		started := time.Now()
		syncing, err := r.reconcile(ctx)
		took := time.Since(started)
		if err != nil && ctx.Err() == nil {
			r.config.Logger.Error("updating the shards of this node failed; retrying in a second", "error", err)
		}
		if !syncing {
			changed = nil // only sealed segments are urgent
		}
		select {
		case <-changed:
			select {
			case <-time.After(max(afterChange, idleShare*took)):
			case <-woken:
			case <-ctx.Done():
			}
		case <-woken:
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reconcile makes one pass over all shards. It reports whether a sync runs.
func (r *Replicator) reconcile(ctx context.Context) (syncing bool, err error) {
	var all []*pb.Destination
	if err := r.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		running, err := tx.RunningSyncs()
		if err != nil {
			return err
		}
		syncing = len(running) > 0
		all, err = tx.AllDestinations()
		return err
	}); err != nil {
		return false, err
	}
	nodes := r.nodes(time.Now())
	r.mu.Lock()
	r.passes++
	r.mu.Unlock()
	known := map[string]bool{}
	var errs []error
	var changes []*pb.SetHolder
	for _, d := range all {
		known[d.Id] = true
		more, err := r.reconcileShard(ctx, d, nodes)
		errs, changes = append(errs, err), append(changes, more...)
	}
	r.cancelFetches()
	held, err := r.config.Index.Destinations()
	if err != nil {
		return syncing, err
	}
	for _, id := range held {
		if !known[id] {
			errs = append(errs, r.update(id, true))
		}
	}
	// Last, because it takes long without a leader.
	errs = append(errs, r.announce(ctx, changes))
	return syncing, errors.Join(errs...)
}

// reconcileShard brings one shard up to date and returns the changes to announce.
func (r *Replicator) reconcileShard(ctx context.Context, d *pb.Destination, nodes nodeSet) (changes []*pb.SetHolder, err error) {
	results, err := r.results(d.Id)
	if err != nil {
		return nil, fmt.Errorf("read the generations of destination %s: %w", d.Id, err)
	}
	updateErr := r.update(d.Id, true)
	if len(nodes.counted) > 0 {
		if changes, err = r.replicate(ctx, d, results, nodes); err != nil {
			return changes, err
		}
	}
	if updateErr == nil || r.isFetchable(updateErr) {
		return changes, r.collect(d, nodes)
	}
	for _, res := range results {
		if res.promoted && needsResync(updateErr) {
			return changes, r.resync(ctx, d, res.id, updateErr)
		}
	}
	return changes, updateErr
}
