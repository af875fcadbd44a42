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
func (n *testNode) ending(id string) awaiting {
	n.t.Helper()
	var d *pb.Destination
	if err := n.member.Catalog.View(func(tx *catalog.Tx) (err error) {
		s, err := tx.Sync(org, id)
		if err == nil {
			d, err = tx.Destination(org, s.DestinationId)
		}
		return err
	}); err != nil {
		n.t.Fatal(err)
	}
	return awaiting{replicator: n.replicator, destination: d, sync: id, progressAt: time.Now()}
}

// search passes once for what is lost, as replicated does again and again.
func (n *testNode) search(h *awaiting, want ...*pb.Segment) {
	n.t.Helper()
	h.nodes = n.replicator.nodes(time.Now())
	lost, err := h.findLost(n.t.Context())
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

// TestLostSegments checks that a segment without a copy is lost at once when all nodes
// have responded, and after a while when one of them has not.
func TestLostSegments(t *testing.T) {
	s := newTestCluster(t, 3)
	leader, lister, other := s.nodes[0], s.nodes[1], s.nodes[2]
	id := s.begin(destID)
	kept := lister.list(destID, id, "", "f")
	other.reconcile()
	sealed := []*pb.Segment{lister.list(destID, id, "f", "m"), leader.list(destID, id, "m", "")}
	h := leader.ending(id)
	leader.search(&h)

	// The lister is away, and may come back.
	lister.stop()
	leader.search(&h)
	leader.replicator.config.Timing.Return = 0
	leader.search(&h, sealed[0])
	leader.replicator.config.Timing.Return = time.Hour
	lister.update()
	leader.search(&h)

	// It cannot be asked.
	lister.mute = true
	leader.search(&h)
	leader.replicator.config.Timing.Return = 0
	leader.search(&h, sealed[0])
	leader.replicator.config.Timing.Return = time.Hour
	lister.mute = false
	leader.search(&h)

	// It was away for too long; it is removed; it is there and has an empty disk.
	leader.replicator.config.Grace = time.Nanosecond
	lister.stop()
	leader.search(&h, sealed[0])
	leader.replicator.config.Grace = time.Hour
	lister.left = true
	leader.search(&h, sealed[0])
	lister.left = false
	lister.wipe()
	leader.search(&h, sealed[0])

	if other.has(destID, []*pb.Segment{kept}) != 1 {
		t.Error("the copy of the other node is gone")
	}
}

// TestAwait checks that the wait for replicas ends when all desired nodes that are alive
// hold the result, or when one does and the others take too long, and that it fails when
// no node makes progress.
func TestAwait(t *testing.T) {
	for _, c := range []struct {
		name   string
		timing Timing
		block  int // how many of the nodes cannot copy
		away   int // and are not there
		want   error
	}{
		{"all", Timing{AllReplicas: time.Hour, Return: time.Hour, Stuck: time.Hour}, 0, 0, nil},
		{"one is away", Timing{AllReplicas: time.Hour, Return: time.Hour, Stuck: time.Hour}, 0, 1, nil},
		{"two are slow", Timing{AllReplicas: time.Millisecond, Return: time.Hour, Stuck: time.Hour}, 2, 0, nil},
		{"none can", Timing{AllReplicas: time.Hour, Return: time.Millisecond, Stuck: 10 * time.Millisecond}, 3, 0, catalog.ErrNoReplica},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestCluster(t, 5)
			desired := s.desired(destID)
			lister := s.unwanted(destID)[0]
			// Two list, so that neither has all.
			id, _ := s.scan(destID, lister, s.unwanted(destID)[1])
			for _, n := range desired[:c.block] {
				n.fetching = func(context.Context, string, string) error { return errors.New("no room") }
			}
			for _, n := range desired[3-c.away:] {
				n.stop()
			}
			lister.replicator.config.Timing = c.timing
			h := lister.ending(id)
			done := make(chan error, 1)
			go func() {
				lost, err := h.replicator.Await(t.Context(), h.destination, id)
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
						n.reconcile()
					}
				}
			}
		})
	}
}

// TestAwaitDesiredNodes checks that, while all desired nodes are away, another holder is
// not enough until they have been away for the grace period.
func TestAwaitDesiredNodes(t *testing.T) {
	s := newTestCluster(t, 5)
	leader := s.unwanted(destID)[0]
	id, _ := s.scan(destID, leader)
	h := leader.ending(id)
	enough := func(want bool) {
		t.Helper()
		h.nodes = leader.replicator.nodes(time.Now())
		if got, err := h.isReplicated(); got != want || err != nil {
			t.Errorf("enough: %v, %v", got, err)
		}
	}
	enough(false)
	desired := s.desired(destID)
	for _, n := range desired {
		n.stop()
	}
	// That one of them holds it helps nobody.
	s.propose(&pb.SetHolder{Node: desired[0].id, DestinationId: destID, Generation: id, Whole: true})
	leader.replicator.config.Timing.AllReplicas = 0
	enough(false)
	enough(false)
	leader.search(&h)
	for _, n := range s.nodes {
		n.replicator.config.Grace = time.Nanosecond
	}
	enough(false)
	s.settle() // two remain, and both take it
	enough(true)
}

// TestAwaitEnds checks that the wait ends with its context, and at once without peers.
func TestAwaitEnds(t *testing.T) {
	s := newTestCluster(t, 2)
	id := s.begin(destID)
	s.nodes[0].list(destID, id, "", "")
	h := s.nodes[0].ending(id)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("the sync was cancelled")
	cancel(ended)
	if _, err := h.replicator.Await(ctx, h.destination, id); !errors.Is(err, ended) {
		t.Error(err)
	}
	s.nodes[0].replicator.config.Peers = nil
	if lost, err := h.replicator.Await(t.Context(), h.destination, id); err != nil || lost != nil {
		t.Error(lost, err)
	}
}
