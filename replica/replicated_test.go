package replica

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// ending is the wait for copies of a sync whose keys are all listed.
func (n *keeping) ending(id string) handover {
	n.t.Helper()
	var d *pb.Destination
	if err := n.catalog.View(func(tx *catalog.Tx) (err error) {
		s, err := tx.Sync(org, id)
		if err == nil {
			d, err = tx.Destination(org, s.DestinationId)
		}
		return err
	}); err != nil {
		n.t.Fatal(err)
	}
	return handover{keeper: n.keeper, destination: d, sync: id, moved: time.Now()}
}

// search looks once for what is lost, as replicated does again and again.
func (n *keeping) search(h *handover, want ...*pb.Segment) {
	n.t.Helper()
	h.company = n.keeper.nodes(time.Now())
	lost, err := h.search(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	var ids []string
	for _, s := range want {
		ids = append(ids, s.Id)
	}
	if !slices.Equal(lost, ids) {
		n.t.Errorf("%d segments are lost, want %d", len(lost), len(ids))
	}
}

// TestLostSegments: what nobody has any more is lost at once when all have answered, also
// the node that listed it, and after a while when one of them has not.
func TestLostSegments(t *testing.T) {
	s := newShelf(t, 3)
	leader, lister, other := s.nodes[0], s.nodes[1], s.nodes[2]
	id := s.begin(destID)
	kept := lister.list(destID, id, "", "f")
	other.look()
	sealed := []*pb.Segment{lister.list(destID, id, "f", "m"), leader.list(destID, id, "m", "")}
	h := leader.ending(id)
	leader.search(&h)

	// The lister is away, and may come back.
	lister.down = true
	leader.search(&h)
	leader.keeper.Waits.ComeBack = 0
	leader.search(&h, sealed[0])
	leader.keeper.Waits.ComeBack = time.Hour
	lister.catchUp()
	leader.search(&h)

	// It cannot be asked.
	lister.mute = true
	leader.search(&h)
	leader.keeper.Waits.ComeBack = 0
	leader.search(&h, sealed[0])
	leader.keeper.Waits.ComeBack = time.Hour
	lister.mute = false
	leader.search(&h)

	// It was away for too long; it is removed; it is there and has an empty disk.
	leader.keeper.Grace = time.Nanosecond
	lister.down = true
	leader.search(&h, sealed[0])
	leader.keeper.Grace = time.Hour
	lister.left = true
	leader.search(&h, sealed[0])
	lister.left = false
	lister.wipe()
	leader.search(&h, sealed[0])

	if other.has(destID, []*pb.Segment{kept}) != 1 {
		t.Error("the copy of the other node is gone")
	}
}

// TestHandover: a finished sync is promoted when all nodes hold it that are to and are
// there; when one does and the others take too long; and fails when none gets any further.
func TestHandover(t *testing.T) {
	for _, c := range []struct {
		name  string
		waits Waits
		block int // how many of the nodes cannot copy
		away  int // and are not there
		want  error
	}{
		{"all", Waits{AllHold: time.Hour, ComeBack: time.Hour, Stuck: time.Hour}, 0, 0, nil},
		{"one is away", Waits{AllHold: time.Hour, ComeBack: time.Hour, Stuck: time.Hour}, 0, 1, nil},
		{"two are slow", Waits{AllHold: time.Millisecond, ComeBack: time.Hour, Stuck: time.Hour}, 2, 0, nil},
		{"none can", Waits{AllHold: time.Hour, ComeBack: time.Millisecond, Stuck: 10 * time.Millisecond}, 3, 0, catalog.ErrNoReplica},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t, 5)
			wanted := s.wanted(destID)
			lister := s.unwanted(destID)[0]
			// Two list, so that neither has all.
			id, _ := s.scan(destID, lister, s.unwanted(destID)[1])
			for _, n := range wanted[:c.block] {
				n.fetching = func(context.Context, string, string) error { return errors.New("no room") }
			}
			for _, n := range wanted[3-c.away:] {
				n.down = true
			}
			lister.keeper.Waits = c.waits
			h := lister.ending(id)
			done := make(chan error, 1)
			go func() {
				lost, err := h.keeper.Await(t.Context(), h.destination, id)
				if len(lost) > 0 {
					err = errors.Join(err, errors.New("segments are lost"))
				}
				done <- err
			}()
			for {
				select {
				case err := <-done:
					if !errors.Is(err, c.want) || c.want == nil && err != nil {
						t.Errorf("it ended with %v, want %v", err, c.want)
					}
					if held := s.holders(destID, id); c.want == nil && len(held) != 3-c.block-c.away {
						t.Errorf("held by %v", held)
					}
					return
				default:
					for _, n := range s.up() {
						n.look()
					}
				}
			}
		})
	}
}

// TestHandoverWaitsForTakers: while all nodes that are to hold a result are away, one that is
// not to does not do, until they have been away for too long.
func TestHandoverWaitsForTakers(t *testing.T) {
	s := newShelf(t, 5)
	leader := s.unwanted(destID)[0]
	id, _ := s.scan(destID, leader)
	h := leader.ending(id)
	enough := func(want bool) {
		t.Helper()
		h.company = leader.keeper.nodes(time.Now())
		if got, err := h.enough(); got != want || err != nil {
			t.Errorf("enough: %v, %v", got, err)
		}
	}
	enough(false)
	wanted := s.wanted(destID)
	for _, n := range wanted {
		n.down = true
	}
	// That one of them holds it helps nobody.
	s.propose(&pb.SetHolder{Node: wanted[0].id, DestinationId: destID, Generation: id, Whole: true})
	leader.keeper.Waits.AllHold = 0
	enough(false)
	enough(false)
	leader.search(&h)
	for _, n := range s.nodes {
		n.keeper.Grace = time.Nanosecond
	}
	enough(false)
	s.settle() // two remain, and both take it
	enough(true)
}

// TestHandoverEndsWithItsJob, and waits for no node that stays alone.
func TestHandoverEndsWithItsJob(t *testing.T) {
	s := newShelf(t, 2)
	id := s.begin(destID)
	s.nodes[0].list(destID, id, "", "")
	h := s.nodes[0].ending(id)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("the sync was cancelled")
	cancel(ended)
	if _, err := h.keeper.Await(ctx, h.destination, id); !errors.Is(err, ended) {
		t.Error(err)
	}
	s.nodes[0].keeper.Replicas = nil
	if lost, err := h.keeper.Await(t.Context(), h.destination, id); err != nil || lost != nil {
		t.Error(lost, err)
	}
}
