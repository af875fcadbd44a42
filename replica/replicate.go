package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/keyspace"
)

// errLacking is returned for a shard of which this node does not have every segment: to a
// reader it is none of this node's.
var errLacking = fmt.Errorf("%w: not all of its segments are on this node", index.ErrNoShard)

// result is what a sync has recorded: a generation, or what is to become one.
type result struct {
	id       string
	promoted bool
	space    keyspace.Range
	holders  []string // the nodes that say that they have all of it
}

// heldBy tells whether a node says that it has all of it.
func (r *result) heldBy(node string) bool { return slices.Contains(r.holders, node) }

// settled tells whether all nodes that are to hold a result are there and do: then others
// need not.
func (g company) settled(r *result, wanted []string) bool {
	return len(wanted) > 0 && !slices.ContainsFunc(wanted, func(node string) bool { return !g.alive[node] || !r.heldBy(node) })
}

// results are what there is of a destination: its generation and its running sync.
func (k *Keeper) results(destination string) (all []*result, err error) {
	err = k.Catalog.View(func(tx *catalog.Tx) error {
		switch g, err := tx.Generation(destination); {
		case err == nil:
			all = append(all, &result{id: g.Id, promoted: true})
		case !errors.Is(err, catalog.ErrNotFound):
			return err
		}
		running, err := tx.RunningSyncs()
		for _, s := range running {
			if s.DestinationId == destination {
				all = append(all, &result{id: s.Id, space: keyspace.NewRange(s.Start, s.End)})
			}
		}
		if err != nil || len(all) == 0 {
			return err
		}
		held, err := tx.Holders(destination)
		for _, h := range held {
			for _, r := range all {
				if r.id == h.Generation {
					r.holders = append(r.holders, h.Node)
				}
			}
		}
		return err
	})
	return all, err
}

// segments lists those of a sync that have a file, and the ranges of all.
func segments(tx *catalog.Tx, sync string) (files []*pb.Segment, done []keyspace.Range, err error) {
	all, err := tx.Segments(sync)
	for _, s := range all {
		if s.FileSize > 0 {
			files = append(files, s)
		}
		done = append(done, keyspace.NewRange(s.Start, s.End))
	}
	return files, done, err
}

// lacks lists the segments of a result that are not on this node, and tells whether the
// node has all of it. A generation it has only when each file was found undamaged and
// stands open; a running sync's is complete when nothing is left to list.
func (k *Keeper) lacks(destination string, r *result) (missing []*pb.Segment, whole bool, err error) {
	if open, _, ok := k.Index.Generation(destination); r.promoted && ok && open == r.id {
		return nil, true, nil
	}
	var files []*pb.Segment
	var done []keyspace.Range
	if err := k.Catalog.View(func(tx *catalog.Tx) (err error) {
		files, done, err = segments(tx, r.id)
		return err
	}); err != nil {
		return nil, false, err
	}
	for _, s := range files {
		if !k.Index.Has(destination, s.Id) {
			missing = append(missing, s)
		}
	}
	complete := !r.promoted && len(done) > 0 && len(r.space.Remaining(done)) == 0
	return missing, complete && len(missing) == 0, nil
}

// replicate sees to the copies of a destination's shard: it begins to fetch what this node is
// to hold, and answers what the others are to be told of what it holds. It drops nothing:
// that is for sweep, after the others know.
func (k *Keeper) replicate(ctx context.Context, d *pb.Destination, results []*result, g company) (news []*pb.SetHolder, err error) {
	wanted := g.wanted(d.Id)
	mine := slices.Contains(wanted, k.Node)
	for _, r := range results {
		held, settled := r.heldBy(k.Node), g.settled(r, wanted)
		if !mine && !held && settled {
			continue
		}
		missing, whole, err := k.lacks(d.Id, r)
		if err != nil {
			return news, fmt.Errorf("read the segments of destination %s: %w", d.Id, err)
		}
		say := func(whole bool) {
			news = append(news, &pb.SetHolder{Node: k.Node, DestinationId: d.Id, Generation: r.id, Whole: whole})
		}
		switch {
		case held && len(missing) > 0, held && r.promoted && !mine && settled:
			say(false)
		case !held && whole && (mine || !settled):
			say(true)
		}
		if mine && len(missing) > 0 {
			k.pull(ctx, d, r, missing, g)
		}
	}
	return news, nil
}

// tell brings what the others are to know into the catalog. What cannot be told now is found
// again by the next look.
func (k *Keeper) tell(ctx context.Context, news []*pb.SetHolder) error {
	for _, n := range news {
		if _, err := k.Proposer.Propose(ctx, n); err != nil {
			return fmt.Errorf("tell the others which shards this node holds: %w", err)
		}
	}
	return nil
}
