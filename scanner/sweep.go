package scanner

import (
	"errors"
	"fmt"
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// sweep removes what syncs that came to nothing have left of a destination's segments: a
// full disk must not stay full because of them. Whose a segment is, its name tells; it
// stays while its sync runs, since it may be on its way into the catalog, and when its
// generation names it. The index keeps what it serves.
//
// That the catalog of this node may be behind does no harm: a scan begins only when the
// sync runs there, and what it sealed can no longer be recorded once it has ended there.
//
// Segments of the generation that are on this node only because it has listed them stay
// until all nodes that are to hold them do.
func (k *Keeper) sweep(d *pb.Destination, g company) error {
	n, err := k.need(d, g)
	if err != nil {
		return fmt.Errorf("read which segments of destination %s are needed: %w", d.Id, err)
	}
	s := k.state(d.Id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.swept == n {
		return nil
	}
	named := map[string]bool{}
	if err := k.Catalog.View(func(tx *catalog.Tx) error {
		if n.others {
			return nil
		}
		segments, err := tx.Segments(n.promoted)
		for _, s := range segments {
			named[s.Id] = true
		}
		return err
	}); err != nil {
		return fmt.Errorf("read the segments of destination %s: %w", d.Id, err)
	}
	if err := k.Index.Sweep(d.Id, func(id string) bool {
		return named[id] || n.running != "" && syncOf(id) == ulidOf(n.running)
	}); err != nil {
		return err
	}
	s.swept = n
	return nil
}

// need is of which syncs a destination's segments are needed; empty is none.
type need struct {
	promoted, running string
	// others says that those of the promoted one are on all nodes that are to have them, and
	// this one is not to.
	others bool
}

func (k *Keeper) need(d *pb.Destination, nodes company) (n need, err error) {
	err = k.Catalog.View(func(tx *catalog.Tx) error {
		running, err := tx.RunningSyncs()
		if err != nil {
			return err
		}
		for _, s := range running {
			if s.DestinationId == d.Id {
				n.running = s.Id
			}
		}
		g, err := tx.Generation(d.Id)
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		if err != nil || k.Replicas == nil {
			n.promoted = g.GetId()
			return err
		}
		n.promoted = g.Id
		held, err := tx.Holders(d.Id)
		r := result{}
		for _, h := range held {
			if h.Generation == g.Id {
				r.holders = append(r.holders, h.Node)
			}
		}
		wanted := nodes.wanted(d.Id)
		n.others = r.settled(wanted) && !slices.Contains(wanted, k.Node)
		return err
	})
	return n, err
}
