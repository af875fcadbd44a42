package replica

import (
	"context"
	"errors"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// resyncEvery is the time after a failed sync that was to replace a damaged shard until the
// next one is started.
const resyncEvery = 15 * time.Minute

// isFetchable reports whether the cause of a failed update is repaired by fetching segments
// from other nodes: missing ones, also those that were set aside as damaged.
func (r *Replicator) isFetchable(err error) bool {
	_, corrupt := errors.AsType[*index.CorruptError](err)
	return r.config.Peers != nil && (corrupt || errors.Is(err, errIncomplete))
}

// needsResync reports whether only a new sync repairs a shard.
func needsResync(err error) bool {
	_, corrupt := errors.AsType[*index.CorruptError](err)
	return corrupt || errors.Is(err, errIncomplete) || errors.Is(err, index.ErrNoSegment)
}

// resync starts a sync that replaces a lost generation, unless one runs or has just failed.
// One sync is started however many nodes notice the loss.
func (r *Replicator) resync(ctx context.Context, d *pb.Destination, generation string, cause error) error {
	if r.config.Peers != nil {
		// The catalog of this node may be behind: the generation may have been replaced, and
		// that be why no node has it. After a proposal the node has applied all before it.
		if err := r.announce(ctx, []*pb.SetHolder{{Node: r.config.Node, DestinationId: d.Id, Generation: generation, Whole: false}}); err != nil {
			return err
		}
	}
	due := false
	if err := r.config.Catalog.View(func(tx *catalog.Tx) error {
		g, err := tx.Generation(d.Id)
		if errors.Is(err, catalog.ErrNotFound) || err == nil && g.Id != generation {
			return nil
		}
		if err != nil {
			return err
		}
		last, err := tx.LastSync(d.Org, d.Id)
		if errors.Is(err, catalog.ErrNotFound) {
			due = true
			return nil
		}
		due = err == nil && (last.Id == generation ||
			last.FinishedAt != 0 && time.Since(time.UnixMilli(last.FinishedAt)) > resyncEvery)
		return err
	}); err != nil || !due {
		return err
	}
	r.config.Logger.Error("a shard is damaged and no other node has the missing segments; syncing its destination again",
		"destination", d.Id, "generation", generation, "error", cause)
	_, err := r.config.Proposer.Propose(ctx, &pb.StartSync{
		Org: d.Org, DestinationId: d.Id, SyncId: catalog.NewID(catalog.KindSync), At: time.Now().UnixMilli(),
	})
	return err
}
