package replica

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// replicated returns a promoted generation that all desired nodes hold.
func (s *testCluster) replicated(destination string) (id string, sealed []*pb.Segment) {
	s.t.Helper()
	id, sealed = s.scan(destination, s.up()...)
	s.settle()
	s.promote(id)
	s.settle()
	s.replicatedOn(destination, id, sealed, s.wantedIDs(destination))
	return id, sealed
}

// TestCopiesWhileASyncRuns checks that the desired nodes copy sealed segments at once, and
// that the others keep what they have listed until the desired nodes have all of it.
func TestCopiesWhileASyncRuns(t *testing.T) {
	s := newTestCluster(t, 5)
	desired, lister := s.desired(destID), s.unwanted(destID)[0]
	id := s.begin(destID)
	sealed := []*pb.Segment{lister.list(destID, id, "", "m")}
	s.settle()
	for _, n := range desired {
		if n.has(destID, sealed) != 1 {
			t.Errorf("%s has not copied what was sealed", n.id)
		}
	}
	if held := s.holders(destID, id); held != nil {
		t.Errorf("%v hold an incomplete generation", held)
	}
	// One of them cannot get the rest.
	blocked := true
	desired[1].fetching = func(context.Context, string, string) error {
		if blocked {
			return errors.New("no route")
		}
		return nil
	}
	sealed = append(sealed, lister.list(destID, id, "m", ""))
	s.settle()
	want := []string{desired[0].id, desired[2].id, lister.id}
	slices.Sort(want)
	if held := s.holders(destID, id); !slices.Equal(held, want) {
		t.Errorf("held by %v, want the two that could and the one that has listed it, %v", held, want)
	}
	s.promote(id)
	s.settle()
	if files, err := lister.reads(destID); err != nil || files != allFiles {
		t.Errorf("it is needed here still, and %d files are served: %v", files, err)
	}
	if _, err := desired[1].reads(destID); !errors.Is(err, index.ErrNoShard) {
		t.Errorf("a part is served: %v", err)
	}
	blocked = false
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))

	// A second sync takes its place everywhere, and nothing of the first is left.
	second, fresh := s.scan(destID, s.nodes...)
	s.settle()
	s.promote(second)
	s.settle()
	s.replicatedOn(destID, second, fresh, s.wantedIDs(destID))
	for _, n := range s.nodes {
		if n.has(destID, sealed) > 0 {
			t.Errorf("%s keeps what nobody needs", n.id)
		}
	}
}

// TestNodeLeaves checks that shards move only after the grace period, and that surplus
// copies are dropped when the node comes back.
func TestNodeLeaves(t *testing.T) {
	s := newTestCluster(t, 5)
	id, sealed := s.replicated(destID)
	desired := s.desired(destID)
	before := s.wantedIDs(destID)
	gone := desired[0]
	gone.stop()
	for _, n := range s.nodes {
		n.replicator.config.Grace = time.Hour
	}
	s.settle()
	for _, n := range s.up() {
		if !slices.Contains(desired, n) && n.has(destID, sealed) > 0 {
			t.Fatal("a node is away for a moment, and others copy its shards")
		}
	}
	for _, n := range s.nodes {
		n.replicator.config.Grace = time.Nanosecond
	}
	s.settle()
	substitute := s.wantedIDs(destID)
	if held := s.holders(destID, id); len(held) != 4 { // the one that is gone may come back
		t.Errorf("held by %v", held)
	}
	for _, n := range s.desired(destID) {
		if files, err := n.reads(destID); err != nil || files != allFiles {
			t.Errorf("%s, one of %v, serves %d files: %v", n.id, substitute, files, err)
		}
	}
	gone.update()
	s.settle()
	s.replicatedOn(destID, id, sealed, before)
	if s.starts > 0 {
		t.Error("a sync was started")
	}
}

// TestNodeJoins checks that a shard moves to a new node, that the old copy is removed
// only when the new one is complete, and that a reader can finish on it.
func TestNodeJoins(t *testing.T) {
	s := newTestCluster(t, 3)
	id, sealed := s.replicated(destID)
	// Nodes join until one wins the shard.
	var fresh *testNode
	for fresh == nil || !slices.Contains(s.wantedIDs(destID), fresh.id) {
		fresh = s.join()
	}
	loser := s.unwanted(destID)[0]
	if loser.has(destID, sealed) == 0 {
		for _, n := range s.unwanted(destID) {
			if n.has(destID, sealed) > 0 {
				loser = n
			}
		}
	}
	broken := 0
	fresh.fetching = func(_ context.Context, _, segment string) error {
		if segment == sealed[3].Id && broken < 20 {
			broken++
			return errors.New("broken off")
		}
		return nil
	}
	for range 3 {
		for _, n := range s.up() {
			n.reconcile()
		}
		if files, err := loser.reads(destID); err != nil || files != allFiles {
			t.Fatalf("the old copy serves %d files before the new one is whole: %v", files, err)
		}
	}
	reading, err := loser.replicator.View(t.Context(), destID)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Release()
	broken = 20
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
	files := 0
	if _, _, err := reading.Query(index.Query{}, func(*index.Entry) bool { files++; return true }); err != nil || files != allFiles {
		t.Errorf("who was reading is shown %d files: %v", files, err)
	}
}

// TestDropIsReportedFirst checks that a copy is kept when the drop cannot be reported
// first, or when another copy is lost at the same time.
func TestDropIsReportedFirst(t *testing.T) {
	s := newTestCluster(t, 4)
	lister := s.unwanted(destID)[0]
	id, sealed := s.scan(destID, lister)
	s.desired(destID)[0].fetching = func(context.Context, string, string) error { return errors.New("not yet") }
	s.settle()
	s.promote(id)
	s.settle() // the lister holds it, since not all others do
	s.desired(destID)[0].fetching = nil
	s.desired(destID)[0].reconcile()
	s.desired(destID)[0].reconcile()
	if held := s.holders(destID, id); len(held) != 4 {
		t.Fatalf("held by %v", held)
	}
	// The lister reports the drop first. Before its next reconciliation another
	// node says that its copy is lost.
	lister.reconcile()
	if held := s.holders(destID, id); len(held) != 3 || lister.has(destID, sealed) != len(sealed) {
		t.Fatalf("held by %v, %d segments at the one that lets go", held, lister.has(destID, sealed))
	}
	lost := s.desired(destID)[1]
	s.propose(&pb.SetHolder{Node: lost.id, DestinationId: destID, Generation: id, Whole: false})
	lister.reconcile()
	if lister.has(destID, sealed) != len(sealed) || len(s.holders(destID, id)) != 3 {
		t.Errorf("the copy was dropped when it was needed again: held by %v", s.holders(destID, id))
	}
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
}

// TestSurplusIsKeptWhileAHolderIsAway checks that a surplus copy stays while a desired
// node is away, although the catalog lists it as a holder.
func TestSurplusIsKeptWhileAHolderIsAway(t *testing.T) {
	s := newTestCluster(t, 3)
	id, sealed := s.replicated(destID)
	fresh := s.join()
	for !slices.Contains(s.wantedIDs(destID), fresh.id) {
		fresh = s.join()
	}
	var extra *testNode
	for _, n := range s.unwanted(destID) {
		if n.has(destID, sealed) > 0 {
			extra = n
		}
	}
	fresh.reconcile() // copies it
	fresh.reconcile() // and reports it
	fresh.stop()
	s.settle()
	if held := s.holders(destID, id); len(held) != 4 || extra.has(destID, sealed) != len(sealed) {
		t.Errorf("held by %v, %d segments at the one too many", held, extra.has(destID, sealed))
	}
	fresh.update()
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
}

// TestNoMemberDropsNothing checks that a node which does not know the members, is not
// among them, or believes that it is alone, keeps its copies.
func TestNoMemberDropsNothing(t *testing.T) {
	s := newTestCluster(t, 4)
	id, sealed := s.replicated(destID)
	node := s.desired(destID)[0]
	others := s.unwanted(destID)[0]
	for name, sees := range map[string][]Member{
		"nobody": nil, "others": {{s.desired(destID)[1].id, true}, {s.desired(destID)[2].id, true}}, "itself": {{node.id, true}, {others.id, false}},
	} {
		node.sees = func() []Member { return sees }
		s.settle()
		if held := s.holders(destID, id); len(held) != 3 || node.has(destID, sealed) != len(sealed) {
			t.Errorf("a node that sees %s has %d segments; held by %v", name, node.has(destID, sealed), held)
		}
	}
}

// TestEmptyBucketIsHeld checks that a generation without files has holders like any
// other, and that other nodes do not report again and again.
func TestEmptyBucketIsHeld(t *testing.T) {
	s := newTestCluster(t, 4)
	id := s.begin(destID)
	s.propose(&pb.SealSegments{SyncId: id, Segments: []*pb.Segment{{Id: catalog.NewSegmentID(id), ClassifiedAt: s.nodes[0].member.Catalog.AppliedIndex(), Node: "node0"}}})
	s.settle()
	s.promote(id)
	s.settle()
	want := slices.Sorted(slices.Values(s.wantedIDs(destID)))
	if held := s.holders(destID, id); !slices.Equal(held, want) {
		t.Errorf("held by %v, want %v", held, want)
	}
	entries := s.log.LastIndex()
	s.settle()
	if s.log.LastIndex() != entries {
		t.Errorf("%d facts were reported although nothing changed", s.log.LastIndex()-entries)
	}
	for _, n := range s.nodes {
		if files, err := n.reads(destID); slices.Contains(want, n.id) != (err == nil) || files != 0 {
			t.Errorf("%s: %d files, %v", n.id, files, err)
		}
	}
}
