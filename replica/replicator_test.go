package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// replicated makes a promoted generation that lies where it is to.
func (s *shelf) replicated(destination string) (id string, sealed []*pb.Segment) {
	s.t.Helper()
	id, sealed = s.scan(destination, s.up()...)
	s.settle()
	s.promote(id)
	s.settle()
	s.replicatedOn(destination, id, sealed, s.wantedIDs(destination))
	return id, sealed
}

// TestCopiesWhileASyncRuns: what is sealed is copied at once to the nodes that are to hold
// it; the others keep what they have listed until these have all of it.
func TestCopiesWhileASyncRuns(t *testing.T) {
	s := newShelf(t, 5)
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

// TestPulledFromAnyHolder: when the node that listed a shard is gone, holders serve it, and
// the load is spread over them.
func TestPulledFromAnyHolder(t *testing.T) {
	s := newShelf(t, 5)
	lister := s.unwanted(destID)[0]
	id, sealed := s.scan(destID, lister)
	desired := s.desired(destID)
	late := desired[2]
	late.stop()
	s.settle()
	s.promote(id)
	s.settle()
	lister.stop()
	late.update()
	late.fetched = nil
	s.settle()
	from := map[string]int{}
	for _, f := range late.fetched {
		_, node, _ := strings.Cut(f, "@")
		from[node]++
	}
	if len(from) != 2 || from[lister.id] > 0 || len(late.fetched) != len(sealed) {
		t.Errorf("copied from %v", from)
	}
	lister.update()
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
}

// TestPulledFromWhoHasAPart: a segment that neither its lister nor a holder can give comes
// from another node that happens to have it.
func TestPulledFromWhoHasAPart(t *testing.T) {
	s := newShelf(t, 3)
	id := s.begin(destID)
	sealed := []*pb.Segment{s.nodes[0].list(destID, id, "", "m")}
	s.nodes[1].reconcile() // copies it
	s.nodes[0].stop()
	sealed = append(sealed, s.nodes[1].list(destID, id, "m", ""))
	s.settle()
	s.promote(id)
	s.settle()
	if s.nodes[2].has(destID, sealed) != 2 || s.starts > 0 {
		t.Errorf("%d of 2 segments were found, %d syncs started", s.nodes[2].has(destID, sealed), s.starts)
	}
}

// TestANodeGoes: within the grace nothing moves; after it others hold the shard; and when
// the node comes back, the copies that are too many are dropped.
func TestANodeGoes(t *testing.T) {
	s := newShelf(t, 5)
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

// TestANodeJoins: the shard moves to it where it wins, and the old copy goes only when the
// new one is whole; who reads it finishes on it.
func TestANodeJoins(t *testing.T) {
	s := newShelf(t, 3)
	id, sealed := s.replicated(destID)
	// Nodes join until one wins the shard.
	var fresh *keeping
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

// TestDropIsReportedFirst: a copy is kept when the drop cannot be reported first, or when
// one of theirs is lost in the same moment.
func TestDropIsReportedFirst(t *testing.T) {
	s := newShelf(t, 4)
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

// TestKeptWhileAHolderIsAway: a copy that is one too many stays while one of those that are
// to hold it is away, though it is said to hold it.
func TestKeptWhileAHolderIsAway(t *testing.T) {
	s := newShelf(t, 3)
	id, sealed := s.replicated(destID)
	fresh := s.join()
	for !slices.Contains(s.wantedIDs(destID), fresh.id) {
		fresh = s.join()
	}
	var extra *keeping
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

// TestNoMemberDropsNothing: a node that does not know the group, or does not find itself in
// it, and one that thinks that it is alone keep what they have.
func TestNoMemberDropsNothing(t *testing.T) {
	s := newShelf(t, 4)
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

// damage alters the file of a segment, beside what may have it open.
func (n *keeping) damage(destination, segment string) {
	n.t.Helper()
	path := filepath.Join(n.indexDir(), destination, segment+".seg")
	data, err := os.ReadFile(path)
	if err != nil {
		n.t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(path, data, 0o600)); err != nil {
		n.t.Fatal(err)
	}
}

// TestDamageIsMendedFromOthers: a damaged segment is fetched again, without a scan, even
// when the first node that is asked has a damaged one, too.
func TestDamageIsMendedFromOthers(t *testing.T) {
	s := newShelf(t, 3)
	id, sealed := s.replicated(destID)
	for _, segment := range sealed {
		s.nodes[0].damage(destID, segment.Id)
	}
	s.nodes[1].damage(destID, sealed[2].Id)
	s.nodes[0].restart()
	if _, err := s.nodes[0].reads(destID); err == nil {
		t.Fatal("a damaged shard is served")
	}
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
	if s.starts > 0 {
		t.Error("a sync was started")
	}
	if bad, err := filepath.Glob(filepath.Join(s.nodes[1].indexDir(), destID, sealed[2].Id+"*")); err != nil || len(bad) == 0 {
		t.Errorf("%v: %v", bad, err)
	}
}

// TestAnEmptyDisk: a node that is replaced by one with an empty disk says that it holds
// nothing, and is whole again without more ado.
func TestAnEmptyDisk(t *testing.T) {
	s := newShelf(t, 3)
	id, sealed := s.replicated(destID)
	s.nodes[1].wipe()
	s.nodes[1].fetching = func(context.Context, string, string) error { return errors.New("not yet") }
	s.nodes[1].reconcile()
	if held := s.holders(destID, id); !slices.Equal(held, []string{"node0", "node2"}) {
		t.Errorf("held by %v", held)
	}
	s.nodes[1].fetching = nil
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
}

// TestTheLastCopyIsGone: one new sync is started however many nodes find out, and another
// one only long after the first has failed.
func TestTheLastCopyIsGone(t *testing.T) {
	s := newShelf(t, 4)
	id, sealed := s.replicated(destID)
	for _, n := range s.desired(destID) {
		for _, segment := range sealed {
			n.damage(destID, segment.Id)
		}
		n.restart()
	}
	// While a node is away, it may have what is missing.
	away := s.unwanted(destID)[0]
	away.stop()
	s.settle()
	if s.starts > 0 {
		t.Error("a sync was started although a node is away")
	}
	away.update()
	s.settle()
	running := func() (ids []string) {
		if err := s.nodes[0].member.Catalog.View(func(tx *catalog.Tx) error {
			all, err := tx.RunningSyncs()
			for _, r := range all {
				ids = append(ids, r.Id)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	ids := running()
	if s.starts != 1 || len(ids) != 1 || ids[0] == id {
		t.Fatalf("%d syncs were started, %v run", s.starts, ids)
	}
	if held := s.holders(destID, id); held != nil {
		t.Errorf("%v hold what is lost", held)
	}
	fail := func(id string, ago time.Duration) {
		s.propose(&pb.FinishSync{SyncId: id, Status: catalog.SyncFailed, Error: "x", At: time.Now().Add(-ago).UnixMilli()})
		s.settle()
	}
	fail(ids[0], time.Minute)
	if s.starts != 1 {
		t.Error("a sync that failed is tried again at once")
	}
	s.propose(&pb.StartSync{Org: org, DestinationId: destID, SyncId: catalog.NewID(catalog.KindSync), At: 3000})
	fail(running()[0], time.Hour)
	if ids = running(); s.starts != 2 || len(ids) != 1 {
		t.Fatalf("long after the last try, %d syncs were started, %v run", s.starts, ids)
	}
	for i, to := range []string{"m", ""} {
		s.nodes[i].list(destID, ids[0], []string{"", "m"}[i], to)
	}
	s.settle()
	s.promote(ids[0])
	s.settle()
	if held := s.holders(destID, ids[0]); len(held) != 3 || s.starts != 2 {
		t.Errorf("the new generation is held by %v; %d syncs were started", held, s.starts)
	}
}

// TestAnOldGenerationIsNotMourned: a node whose catalog is behind does not take a generation
// that was replaced for one that was lost.
func TestAnOldGenerationIsNotMourned(t *testing.T) {
	s := newShelf(t, 3)
	s.replicated(destID)
	s.nodes[2].pause()
	s.nodes[2].wipeIndex()
	second, sealed := s.scan(destID, s.nodes[0])
	s.settle()
	s.promote(second)
	s.settle()
	s.nodes[2].reconcile() // finds that nobody has the old one any more
	if s.starts > 0 {
		t.Error("a sync was started")
	}
	s.settle()
	s.replicatedOn(destID, second, sealed, s.wantedIDs(destID))
}

// wipeIndex empties the index of a node and leaves it its catalog.
func (n *keeping) wipeIndex() {
	n.t.Helper()
	n.close()
	if err := os.RemoveAll(n.indexDir()); err != nil {
		n.t.Fatal(err)
	}
	n.open()
}

// TestAFullDisk: a node that has no room stops at the first segment, the others keep what
// it should have, and all is well when there is room.
func TestAFullDisk(t *testing.T) {
	s := newShelf(t, 4)
	lister := s.unwanted(destID)[0]
	id, sealed := s.scan(destID, lister)
	full := s.desired(destID)[0]
	tries := 0
	full.fetching = func(context.Context, string, string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		tries++
		return fmt.Errorf("write: %w", syscall.ENOSPC)
	}
	full.replicator.config.Timing.MaxRetry = time.Hour
	s.settle()
	s.promote(id)
	s.settle()
	if tries > fetchShare {
		t.Errorf("a full disk was tried %d times", tries)
	}
	if held := s.holders(destID, id); len(held) != 3 || !slices.Contains(held, lister.id) {
		t.Errorf("held by %v", held)
	}
	full.fetching = nil
	for _, p := range full.replicator.fetches {
		p.next = time.Time{}
	}
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
}

// TestAnEmptyBucketIsHeld: a generation without files is held like any other, and a node
// that is not to hold it does not take it up again and again.
func TestAnEmptyBucketIsHeld(t *testing.T) {
	s := newShelf(t, 4)
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

// TestPullsEndWithTheirReason: when a result is not needed any more, its fetch ends, and a
// slow one does not keep other destinations from theirs.
func TestPullsEndWithTheirReason(t *testing.T) {
	s := newShelf(t, 2)
	const other = "storage_2"
	s.destination(other)
	from, to := s.nodes[0], s.nodes[1]
	id := s.begin(destID)
	for i := range byte(2 * fetchStreams) { // more than all streams
		from.list(destID, id, string([]byte{'a', i}), string([]byte{'a', i + 1}))
	}
	began, ended := make(chan struct{}, 100), make(chan struct{}, 100)
	var slow string
	to.fetching = func(ctx context.Context, _, segment string) error {
		if !catalog.SegmentOf(segment, slow) {
			return nil
		}
		began <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	}
	slow = id
	look := func() {
		t.Helper()
		if _, err := to.replicator.reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	<-began
	second, sealed := s.scan(other, from)
	from.reconcile()
	for range 10_000 {
		look()
		if to.has(other, sealed) == len(sealed) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if len(ended) > 0 {
		t.Error("the slow copy has ended")
	}
	look()
	if held := s.holders(other, second); len(held) != 2 {
		t.Errorf("behind a slow copy, the other destination is held by %v", held)
	}
	s.propose(&pb.FinishSync{SyncId: id, Status: catalog.SyncCancelled, At: 1})
	look()
	<-ended
	to.replicator.work.Wait()
	if len(to.replicator.fetches) != 0 {
		t.Errorf("%d fetches are remembered", len(to.replicator.fetches))
	}
}

// TestPullsComeAgainForWhatIsNew: a fetchJob that has failed rests, but not when there is
// something else to fetch, though it be as many segments.
func TestPullsComeAgainForWhatIsNew(t *testing.T) {
	s := newShelf(t, 2)
	from, to := s.nodes[0], s.nodes[1]
	to.replicator.config.Timing.Retry, to.replicator.config.Timing.MaxRetry = time.Hour, time.Hour
	id := s.begin(destID)
	first := from.list(destID, id, "", "m")
	tries := map[string]int{}
	to.fetching = func(_ context.Context, _, segment string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if tries[segment]++; segment == first.Id {
			return errors.New("no route")
		}
		return nil
	}
	for range 3 {
		to.reconcile()
	}
	before := tries[first.Id]
	to.reconcile()
	if tries[first.Id] != before || before == 0 {
		t.Errorf("a fetchJob that failed has not rested: %d tries, then %d", before, tries[first.Id])
	}
	s.propose(&pb.UnsealSegments{SyncId: id, Ids: []string{first.Id}})
	second := from.list(destID, id, "", "m")
	to.reconcile()
	if tries[second.Id] != 1 || to.has(destID, []*pb.Segment{second}) != 1 {
		t.Errorf("what is new was tried %d times", tries[second.Id])
	}
}

// TestDeparted: what a node that has left is said to hold is forgotten, unless this node
// does not know the group.
func TestDeparted(t *testing.T) {
	s := newShelf(t, 4)
	id, sealed := s.replicated(destID)
	gone := s.desired(destID)[1]
	leader := s.desired(destID)[0]
	forget := func(want int) {
		t.Helper()
		if err := leader.replicator.forgetDeparted(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := s.holders(destID, id); len(held) != want {
			t.Errorf("held by %v, want %d", held, want)
		}
	}
	forget(3)
	leader.sees = func() []Member { return nil }
	forget(3)
	leader.sees = nil
	gone.left = true
	forget(2)
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
	gone.left = false
	gone.update()
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
}
