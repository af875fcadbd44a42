package replica

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// sweep removes what is of no use here of a destination's segments: what syncs have left
// that came to nothing, since a full disk must not stay full because of them, and a copy that
// other nodes hold. Whose a segment is, its name tells; it stays while its sync runs, since it
// may be on its way into the catalog, and when its generation names it.
//
// That the catalog of this node may be behind does no harm: a scan begins only when the
// sync runs there, and what it sealed can no longer be recorded once it has ended there.
// But it must be asked after the files were listed, or a sync could begin in between.
//
// What is here of the generation, also when it is only what this node has listed, stays until
// all nodes that are to hold it do, and none believes that this one does.
func (k *Keeper) sweep(d *pb.Destination, g company) error {
	s := k.state(d.Id)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := k.need(d, g)
	if err != nil {
		return fmt.Errorf("read what is needed of destination %s: %w", d.Id, err)
	}
	if s.swept == before {
		return nil
	}
	if before.elsewhere {
		if open, _, ok := k.Index.Generation(d.Id); ok {
			k.Logger.Info("a shard lies on other nodes now; its copy here is dropped", "destination", d.Id, "generation", open)
		}
		// No other can be opened while this has the lock. Who reads it finishes on it.
		s.current.Store(0)
		if err := k.Index.Retire(d.Id); err != nil {
			return err
		}
	}
	needed := sync.OnceValues(func() (names map[string]bool, err error) {
		if now, err := k.need(d, g); err != nil || now != before {
			return nil, errors.Join(err, errStirred)
		}
		return k.named(before)
	})
	if err := k.Index.Sweep(d.Id, func(id string) bool {
		names, err := needed()
		return err != nil || names[id] || before.running != "" && catalog.SegmentOf(id, before.running)
	}); err != nil {
		return err
	}
	switch _, err := needed(); {
	case errors.Is(err, errStirred):
		return nil
	case err != nil:
		return fmt.Errorf("read the segments of destination %s: %w", d.Id, err)
	}
	s.swept = before
	return nil
}

// errStirred ends a sweep because what is needed has changed: the next look sweeps.
var errStirred = errors.New("what is needed has changed meanwhile")

// need is of which syncs a destination's segments are needed; empty is none.
type need struct {
	promoted, running string
	// newest is the newest sync: one that began and ended since the last sweep has left
	// something, too.
	newest string
	// elsewhere says that those of the promoted one are not needed here: all nodes that are to
	// hold it do, this is none of them, and the others know.
	elsewhere bool
}

func (k *Keeper) need(d *pb.Destination, g company) (n need, err error) {
	results, err := k.results(d.Id)
	if err == nil {
		err = k.Catalog.View(func(tx *catalog.Tx) error {
			last, err := tx.LastSync(d.Org, d.Id)
			n.newest = last.GetId()
			if errors.Is(err, catalog.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	wanted := g.wanted(d.Id)
	for _, r := range results {
		if !r.promoted {
			n.running = r.id
			continue
		}
		n.promoted = r.id
		n.elsewhere = g.settled(r, wanted) && !slices.Contains(wanted, k.Node) && !r.heldBy(k.Node)
	}
	return n, err
}

// named lists the segments of the generation that are needed.
func (k *Keeper) named(n need) (names map[string]bool, err error) {
	if n.elsewhere || n.promoted == "" {
		return nil, nil
	}
	names = map[string]bool{}
	err = k.Catalog.View(func(tx *catalog.Tx) error {
		files, _, err := segments(tx, n.promoted)
		for _, s := range files {
			names[s.Id] = true
		}
		return err
	})
	return names, err
}
