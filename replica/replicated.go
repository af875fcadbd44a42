package replica

import (
	"context"
	"slices"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// Waits are how long a keeper, and the end of a sync, wait for other nodes.
type Waits struct {
	// Again is how long after a pull that failed the next one begins; it grows to Rest while
	// nothing is gained. A full disk rests at once.
	Again, Rest time.Duration

	// AllHold is for all nodes that are to hold the result of a sync, once one does.
	AllHold time.Duration
	// ComeBack is for a node that is away, or does not answer, and may have what no other has.
	ComeBack time.Duration
	// Stuck is while none of them has the whole, and none gets any further.
	Stuck time.Duration
}

var usualWaits = Waits{
	Again: time.Second, Rest: 30 * time.Second,
	AllHold: 15 * time.Second, ComeBack: 5 * time.Second, Stuck: 2 * time.Minute,
}

// handover is the wait of a finished sync for nodes that hold its result.
type handover struct {
	keeper      *Keeper
	destination *pb.Destination
	sync        string
	company     company
	// held is since when a node holds all; missing, since when segments are missed that
	// nobody is known to have; moved, when the nodes last got further.
	held, missing, moved time.Time
	taken                int // segments, all nodes together that are to hold them
}

// Await waits until nodes hold the result of a finished sync, so that there is one to
// read it from when it is promoted: all desired replicas, or one of them when the others take
// long. It returns the ids of the segments that no node has anymore; they must be listed
// again. The error is catalog.ErrNoReplica when no node makes progress copying.
func (k *Keeper) Await(ctx context.Context, d *pb.Destination, syncID string) (lost []string, err error) {
	if k.Replicas == nil {
		return nil, nil
	}
	k.wake.Broadcast()
	h := handover{keeper: k, destination: d, sync: syncID, moved: time.Now()}
	var searched time.Time
	var took time.Duration
	tick := time.NewTicker(min(lookEvery, k.Waits.ComeBack))
	defer tick.Stop()
	for {
		changed := k.Catalog.Changed()
		h.company = k.nodes(time.Now())
		done, err := h.enough()
		if done || err != nil {
			return nil, err
		}
		select {
		case <-changed:
			continue
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if h.held.IsZero() && time.Since(searched) >= restShare*took {
			searched = time.Now()
			if lost, err = h.search(ctx); len(lost) > 0 || err != nil {
				return lost, err
			}
			took = time.Since(searched)
		}
	}
}

// enough tells whether enough nodes hold the result.
func (h *handover) enough() (bool, error) {
	r := result{id: h.sync}
	if err := h.keeper.Catalog.View(func(tx *catalog.Tx) error {
		held, err := tx.Holders(h.destination.Id)
		for _, n := range held {
			if n.Generation == r.id && h.company.alive[n.Node] {
				r.holders = append(r.holders, n.Node)
			}
		}
		return err
	}); err != nil {
		return false, err
	}
	switch wanted := h.takers(); {
	case h.company.settled(&r, wanted):
		return true, nil
	case len(r.holders) == 0:
		if !h.held.IsZero() { // the holder is gone: others begin to get further
			h.held, h.moved = time.Time{}, time.Now()
		}
	case h.held.IsZero():
		h.held = time.Now()
	case time.Since(h.held) > h.keeper.Waits.AllHold:
		h.keeper.Logger.Warn("not all nodes that are to hold the result of a sync do yet; it is used all the same", "sync", h.sync, "holders", r.holders)
		return true, nil
	}
	return false, nil
}

// takers are the nodes that are to hold the result and are there.
func (h *handover) takers() []string {
	return slices.DeleteFunc(h.company.wanted(h.destination.Id), func(node string) bool { return !h.company.alive[node] })
}

// search looks where the segments are that no node has all of: it answers those that are
// lost, and fails when nothing moves.
func (h *handover) search(ctx context.Context) (lost []string, err error) {
	var ids []string
	if err := h.keeper.Catalog.View(func(tx *catalog.Tx) error {
		files, _, err := segments(tx, h.sync)
		for _, s := range files {
			ids = append(ids, s.Id)
		}
		return err
	}); err != nil {
		return nil, err
	}
	k := h.keeper
	has, doubt := k.whoHas(ctx, h.destination.Id, ids, h.company)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	own := make([]bool, len(ids))
	for i, id := range ids {
		own[i] = k.Index.Has(h.destination.Id, id)
	}
	has[k.Node] = own
	takers, taken := h.takers(), 0
	for i, id := range ids {
		somewhere := false
		for node, held := range has {
			if held[i] {
				somewhere = true
				if slices.Contains(takers, node) {
					taken++
				}
			}
		}
		if !somewhere {
			lost = append(lost, id)
		}
	}
	now := time.Now()
	switch {
	case len(lost) == 0:
		h.missing = time.Time{}
	case h.missing.IsZero():
		h.missing = now
	}
	if taken != h.taken {
		h.taken, h.moved = taken, now
	}
	if len(lost) > 0 && (doubt == nil || now.Sub(h.missing) >= k.Waits.ComeBack) {
		return lost, nil
	}
	if len(takers) > 0 && now.Sub(h.moved) >= k.Waits.Stuck {
		return nil, catalog.ErrNoReplica
	}
	return nil, nil
}
