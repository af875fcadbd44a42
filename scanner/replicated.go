package scanner

import (
	"context"
	"slices"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	// allHold is how long a finished sync waits for all nodes that are to hold its result,
	// once one does.
	allHold = 15 * time.Second
	// heldTime bounds the asking of a node whether it has a segment.
	heldTime = 2 * time.Second
)

// replicated waits until nodes hold the result of a finished sync, so that there is one to
// read it from when it is promoted: all that are to, or one of them when the others take
// long. It answers the segments that no node has any more, since the one that listed them
// is gone.
func (j *job) replicated(ctx context.Context) (lost []string, err error) {
	k := j.Keeper
	if k.Replicas == nil {
		return nil, nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var first time.Time
	for looks := 0; ; looks++ {
		changed := j.Catalog.Changed()
		r, err := j.result()
		if err != nil {
			return nil, err
		}
		g := k.nodes(time.Now())
		wanted := slices.DeleteFunc(g.wanted(j.destination.Id), func(node string) bool { return !g.alive[node] })
		if slices.Contains(wanted, k.Node) && len(k.lacking(j.destination.Id, r.segments)) == 0 {
			r.holders = append(r.holders, k.Node) // and says so in a moment
		}
		switch {
		case len(wanted) > 0 && r.settled(wanted):
			return nil, nil
		case len(r.holders) == 0:
			first = time.Time{}
		case first.IsZero():
			first = time.Now()
		case time.Since(first) > allHold:
			j.Logger.Warn("not all nodes that are to hold the result of a sync do yet; it is used all the same", "sync", j.sync.Id, "holders", r.holders)
			return nil, nil
		}
		if looks > 0 {
			if lost, err := j.lost(ctx, r, g); err != nil || len(lost) > 0 {
				return lost, err
			}
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// result is what the sync has recorded.
func (j *job) result() (r result, err error) {
	r = result{id: j.sync.Id, complete: true}
	err = j.Catalog.View(func(tx *catalog.Tx) error {
		segments, err := tx.Segments(j.sync.Id)
		if err != nil {
			return err
		}
		for _, s := range segments {
			if s.FileSize > 0 {
				r.segments = append(r.segments, s)
			}
		}
		held, err := tx.Holders(j.destination.Id)
		for _, h := range held {
			if h.Generation == j.sync.Id {
				r.holders = append(r.holders, h.Node)
			}
		}
		return err
	})
	return r, err
}

// lost names the segments whose node is not there and that no other has.
func (j *job) lost(ctx context.Context, r result, g company) (ids []string, err error) {
	for _, s := range r.segments {
		if g.alive[s.Node] || j.Keeper.Index.Has(j.destination.Id, s.Id) {
			continue
		}
		held, err := j.heldByAny(ctx, s, g)
		if err != nil {
			return nil, err
		}
		if !held {
			ids = append(ids, s.Id)
		}
	}
	return ids, nil
}

func (j *job) heldByAny(ctx context.Context, s *pb.Segment, g company) (bool, error) {
	for node := range g.alive {
		if node == j.Keeper.Node {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, heldTime)
		held, err := j.Keeper.Replicas.Held(asking, node, j.destination.Id, s.Id)
		cancel()
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		// A node that cannot be asked may have it: then this is looked at again.
		if err != nil || held {
			return true, nil
		}
	}
	return false, nil
}
