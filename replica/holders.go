package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// A result is what a sync has recorded: a generation, or a future one.
type result struct {
	id       string
	promoted bool
	space    keyspace.Range
	holders  []string // the nodes that announced to have all of it
}

func (res *result) hasHolder(node string) bool { return slices.Contains(res.holders, node) }

// results returns the results of a destination: its generation and its running sync.
func (r *Replicator) results(destination string) (all []*result, err error) {
	err = r.config.Catalog.View(func(tx *catalog.Tx) error {
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
			for _, res := range all {
				if res.id == h.Generation {
					res.holders = append(res.holders, h.Node)
				}
			}
		}
		return err
	})
	return all, err
}

// segments returns the segments of a sync that have a file, and the ranges of all.
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

// missingSegments returns the segments of a result that are not on this node, and reports
// whether the node has all of the result. A generation is complete only when each file was
// found undamaged and is open; a running sync when nothing is left to list.
func (r *Replicator) missingSegments(destination string, res *result) (missing []*pb.Segment, complete bool, err error) {
	if open, _, ok := r.config.Index.Generation(destination); res.promoted && ok && open == res.id {
		return nil, true, nil
	}
	var files []*pb.Segment
	var done []keyspace.Range
	if err := r.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		files, done, err = segments(tx, res.id)
		return err
	}); err != nil {
		return nil, false, err
	}
	for _, s := range files {
		if !r.config.Index.Has(destination, s.Id) {
			missing = append(missing, s)
		}
	}
	listed := !res.promoted && len(done) > 0 && len(res.space.Remaining(done)) == 0
	return missing, listed && len(missing) == 0, nil
}

// announce stores changes of what this node holds in the catalog. What fails is found again
// by the next pass.
func (r *Replicator) announce(ctx context.Context, changes []*pb.SetHolder) error {
	for _, c := range changes {
		if _, err := r.config.Proposer.Propose(ctx, c); err != nil {
			return fmt.Errorf("announce the shards that this node holds: %w", err)
		}
	}
	return nil
}
