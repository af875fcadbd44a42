package replica

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// collect removes the segments of a destination that this node does not need: leftovers of
// failed syncs, because a full disk must not stay full of them, and surplus replicas. A
// segment's name has the id of its sync. It stays while its sync runs, since it may be about
// to be recorded, and while the generation has it.
//
// A catalog that is behind does no harm: a scan begins only when the sync runs in the catalog
// of this node, and what it sealed cannot be recorded after it ended there. But the catalog
// must be read after the files were listed, or a sync could begin in between.
//
// Segments of the generation, also single ones that this node listed, stay until all desired
// nodes hold it and no node believes that this one does.
func (r *Replicator) collect(d *pb.Destination, g nodeSet) error {
	s := r.state(d.Id)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := r.need(d, g)
	if err != nil {
		return fmt.Errorf("read the needed segments of destination %s: %w", d.Id, err)
	}
	if s.collected == before {
		return nil
	}
	if before.surplus {
		if open, _, ok := r.config.Index.Generation(d.Id); ok {
			r.config.Logger.Info("removing the surplus replica of a shard", "destination", d.Id, "generation", open)
		}
		// No other generation can be opened while this has the lock. Readers finish on it.
		s.current.Store(0)
		if err := r.config.Index.Retire(d.Id); err != nil {
			return err
		}
	}
	needed := sync.OnceValues(func() (names map[string]bool, err error) {
		if now, err := r.need(d, g); err != nil || now != before {
			return nil, errors.Join(err, errNeedChanged)
		}
		return r.neededSegments(before)
	})
	if err := r.config.Index.GC(d.Id, func(id string) bool {
		names, err := needed()
		return err != nil || names[id] || before.running != "" && catalog.SegmentOf(id, before.running)
	}); err != nil {
		return err
	}
	switch _, err := needed(); {
	case errors.Is(err, errNeedChanged):
		return nil
	case err != nil:
		return fmt.Errorf("read the segments of destination %s: %w", d.Id, err)
	}
	s.collected = before
	return nil
}

// errNeedChanged ends a collection because other segments are needed now: the next pass
// collects.
var errNeedChanged = errors.New("the needed segments have changed")

func (r *Replicator) need(d *pb.Destination, g nodeSet) (n need, err error) {
	results, err := r.results(d.Id)
	if err == nil {
		err = r.config.Catalog.View(func(tx *catalog.Tx) error {
			last, err := tx.LastSync(d.Org, d.Id)
			n.newest = last.GetId()
			if errors.Is(err, catalog.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	desired := g.desired(d.Id)
	for _, res := range results {
		if !res.promoted {
			n.running = res.id
			continue
		}
		n.promoted = res.id
		n.surplus = g.replicated(res, desired) && !slices.Contains(desired, r.config.Node) && !res.hasHolder(r.config.Node)
	}
	return n, err
}

// neededSegments returns the ids of the needed segments of the generation.
func (r *Replicator) neededSegments(n need) (ids map[string]bool, err error) {
	if n.surplus || n.promoted == "" {
		return nil, nil
	}
	ids = map[string]bool{}
	err = r.config.Catalog.View(func(tx *catalog.Tx) error {
		files, _, err := segments(tx, n.promoted)
		for _, s := range files {
			ids[s.Id] = true
		}
		return err
	})
	return ids, err
}
