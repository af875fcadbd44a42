package replica

import (
	"context"
	"errors"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// rescueEvery is how long after a sync that was to replace a damaged shard came to nothing
// the next one is started.
const rescueEvery = 15 * time.Minute

// mended tells whether replicate sees to what is wrong with a shard: what it lacks, also
// since it was damaged and set aside, is fetched from another node.
func (k *Keeper) mended(err error) bool {
	_, corrupt := errors.AsType[*index.CorruptError](err)
	return k.Replicas != nil && (corrupt || errors.Is(err, errLacking))
}

// beyondRepair tells whether only a new sync helps a shard.
func beyondRepair(err error) bool {
	_, corrupt := errors.AsType[*index.CorruptError](err)
	return corrupt || errors.Is(err, errLacking) || errors.Is(err, index.ErrNoSegment)
}

// rescue starts a new sync for a generation that is lost, unless one runs or has just failed;
// so one is started however many nodes find the loss.
func (k *Keeper) rescue(ctx context.Context, d *pb.Destination, generation string, cause error) error {
	if k.Replicas != nil {
		// What this node knows may be old: the generation may have been replaced, and that be
		// why nobody has it any more. After an answer it knows all that was before.
		if err := k.tell(ctx, []*pb.SetHolder{{Node: k.Node, DestinationId: d.Id, Generation: generation, Whole: false}}); err != nil {
			return err
		}
	}
	due := false
	if err := k.Catalog.View(func(tx *catalog.Tx) error {
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
			last.FinishedAt != 0 && time.Since(time.UnixMilli(last.FinishedAt)) > rescueEvery)
		return err
	}); err != nil || !due {
		return err
	}
	k.Logger.Error("a shard is damaged and no other node has what is missing; its destination is scanned again",
		"destination", d.Id, "generation", generation, "error", cause)
	_, err := k.Proposer.Propose(ctx, &pb.StartSync{
		Org: d.Org, DestinationId: d.Id, SyncId: catalog.NewID(catalog.KindSync), At: time.Now().UnixMilli(),
	})
	return err
}
