package scanner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

const (
	// pulls bounds the destinations whose segments this node copies at once, and
	// pullStreams the segments of one.
	pulls       = 2
	pullStreams = 4
)

// errLacking is returned for a shard of which this node does not have every segment: to a
// reader it is none of this node's.
var errLacking = fmt.Errorf("%w: not all of its segments are on this node", index.ErrNoShard)

// errGone is returned for a segment that no node has any more.
var errGone = errors.New("no node has it any more")

// result is what a sync has recorded: a generation, or what is to become one.
type result struct {
	id       string
	promoted bool
	// complete says that its segments cover the whole key space.
	complete bool
	segments []*pb.Segment // those with a file
	holders  []string      // nodes that have all of them
}

// results are what there is of a destination: its generation and its running sync.
func (k *Keeper) results(d *pb.Destination) (all []result, err error) {
	err = k.Catalog.View(func(tx *catalog.Tx) error {
		held, err := tx.Holders(d.Id)
		if err != nil {
			return err
		}
		add := func(id string, promoted bool, space *pb.Sync) error {
			r := result{id: id, promoted: promoted, complete: promoted}
			segments, err := tx.Segments(id)
			var done []Range
			for _, s := range segments {
				if s.FileSize > 0 {
					r.segments = append(r.segments, s)
				}
				done = append(done, Range{string(s.Start), string(s.End)})
			}
			if space != nil {
				r.complete = len(done) > 0 && len(Remaining(Range{string(space.Start), string(space.End)}, done)) == 0
			}
			for _, h := range held {
				if h.Generation == id {
					r.holders = append(r.holders, h.Node)
				}
			}
			all = append(all, r)
			return err
		}
		switch g, err := tx.Generation(d.Id); {
		case err == nil:
			if err := add(g.Id, true, nil); err != nil {
				return err
			}
		case !errors.Is(err, catalog.ErrNotFound):
			return err
		}
		running, err := tx.RunningSyncs()
		for _, s := range running {
			if s.DestinationId == d.Id {
				err = errors.Join(err, add(s.Id, false, s))
			}
		}
		return err
	})
	return all, err
}

// lacking are the segments of a result that are not on this node.
func (k *Keeper) lacking(destination string, segments []*pb.Segment) (missing []*pb.Segment) {
	for _, s := range segments {
		if !k.Index.Has(destination, s.Id) {
			missing = append(missing, s)
		}
	}
	return missing
}

// settled tells whether all nodes that are to hold a result do: then others need not.
func (r *result) settled(wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(node string) bool { return !slices.Contains(r.holders, node) })
}

// replicate does what this node has to do for the copies of a destination's shard: fetch
// what it is to hold, say what it holds, and let go of what others hold in its place.
func (k *Keeper) replicate(ctx context.Context, d *pb.Destination, g company) error {
	results, err := k.results(d)
	if err != nil {
		return fmt.Errorf("read what there is of destination %s: %w", d.Id, err)
	}
	wanted := g.wanted(d.Id)
	mine := slices.Contains(wanted, k.Node)
	var errs []error
	for _, r := range results {
		missing := k.lacking(d.Id, r.segments)
		held := slices.Contains(r.holders, k.Node)
		switch {
		case held && len(missing) > 0:
			errs = append(errs, k.declare(ctx, d.Id, r.id, false))
		case r.promoted && held && !mine && r.settled(wanted):
			errs = append(errs, k.letGo(ctx, d.Id, r.id))
		case !held && len(missing) == 0 && r.complete && (mine || !r.settled(wanted)):
			errs = append(errs, k.declare(ctx, d.Id, r.id, true))
		}
		if mine && len(missing) > 0 {
			k.pull(ctx, d, r, missing, g)
		}
	}
	return errors.Join(errs...)
}

// declare tells the others whether this node holds a result.
func (k *Keeper) declare(ctx context.Context, destination, generation string, whole bool) error {
	_, err := k.Proposer.Propose(ctx, &pb.SetHolder{Node: k.Node, DestinationId: destination, Generation: generation, Whole: whole})
	if err != nil {
		return fmt.Errorf("tell the others which shards this node holds: %w", err)
	}
	return nil
}

// letGo drops a copy that is not needed here any more. The others know before it is gone.
func (k *Keeper) letGo(ctx context.Context, destination, generation string) error {
	if err := k.declare(ctx, destination, generation, false); err != nil {
		return err
	}
	s := k.state(destination)
	s.mu.Lock()
	defer s.mu.Unlock()
	k.Logger.Info("a shard lies on other nodes now; its copy here is dropped", "destination", destination)
	s.current.Store(0)
	return k.Index.Retire(destination)
}

// pull fetches segments in the background, unless that is under way.
func (k *Keeper) pull(ctx context.Context, d *pb.Destination, r result, missing []*pb.Segment, g company) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pulling[d.Id] || len(k.pulling) >= pulls || time.Now().Before(k.pullAgain[d.Id]) {
		return
	}
	k.pulling[d.Id] = true
	k.work.Go(func() {
		err := k.fetchAll(ctx, d, r, missing, g)
		k.mu.Lock()
		delete(k.pulling, d.Id)
		delete(k.pullAgain, d.Id)
		if err != nil {
			k.pullAgain[d.Id] = time.Now().Add(lookEvery)
		}
		k.mu.Unlock()
		switch {
		case err == nil:
			k.wake.raise()
		case errors.Is(err, errGone) && r.promoted && ctx.Err() == nil:
			if err := k.rescue(ctx, d, err); err != nil {
				k.Logger.Warn("a shard of which a part is lost could not be scanned again yet", "destination", d.Id, "error", err)
			}
		case ctx.Err() == nil && !errors.Is(err, errGone):
			k.Logger.Warn("a shard could not be copied to this node; tried again in a second", "destination", d.Id, "error", err)
		}
	})
}

// fetchAll fetches segments from whoever has them. When no node has one of them, and none
// is only away that might, the error is errGone.
func (k *Keeper) fetchAll(ctx context.Context, d *pb.Destination, r result, missing []*pb.Segment, g company) error {
	began := time.Now()
	var streams errgroup.Group
	streams.SetLimit(pullStreams)
	for _, s := range missing {
		streams.Go(func() error { return k.fetch(ctx, d.Id, s, r.holders, g) })
	}
	if err := streams.Wait(); err != nil {
		return err
	}
	k.Logger.Debug("copied segments of a shard to this node", "destination", d.Id, "segments", len(missing), "took", time.Since(began))
	return nil
}

func (k *Keeper) fetch(ctx context.Context, destination string, s *pb.Segment, holders []string, g company) error {
	var failed error
	for _, node := range append([]string{s.Node}, holders...) {
		switch {
		case node == k.Node:
			continue
		case g.away(node):
			failed = errors.Join(failed, fmt.Errorf("node %s, which may have segment %s, is away", node, s.Id))
			continue
		case !g.alive[node]:
			continue
		}
		err := k.Replicas.Fetch(ctx, node, destination, s)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrNotHeld) {
			failed = errors.Join(failed, err)
		}
	}
	if failed == nil {
		return fmt.Errorf("%w: segment %s of destination %s", errGone, s.Id, destination)
	}
	return failed
}
