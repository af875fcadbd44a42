package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// TestFetchFromAnyHolder checks that, without the node that listed a shard, its holders
// share the load: each segment ranks them differently.
func TestFetchFromAnyHolder(t *testing.T) {
	s := newTestCluster(t, 5)
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
	holders := []string{desired[0].id, desired[1].id}
	for _, f := range late.fetched {
		segment, node, _ := strings.Cut(f, "@")
		if want := ranking(segment, holders)[0]; node != want {
			t.Errorf("segment %s was copied from %s, want %s", segment, node, want)
		}
	}
	if len(late.fetched) != len(sealed) {
		t.Errorf("%d segments were copied, want %d", len(late.fetched), len(sealed))
	}
	lister.update()
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
}

// TestFetchFromPartialHolder checks that a segment which neither its lister nor a holder
// can send is fetched from any node that has it.
func TestFetchFromPartialHolder(t *testing.T) {
	s := newTestCluster(t, 3)
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

// TestFullDisk checks that a node with a full disk stops at the first segment, that the
// others keep its segments, and that it continues when there is space.
func TestFullDisk(t *testing.T) {
	s := newTestCluster(t, 4)
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

// TestFetchEndsWithItsResult checks that a fetch ends when its result is not needed
// anymore, and that a slow one does not block other destinations.
func TestFetchEndsWithItsResult(t *testing.T) {
	s := newTestCluster(t, 2)
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

// TestFetchRetriesForNewSegments checks that a failed fetch waits before its next
// attempt, except when other segments are missing, even if they are as many.
func TestFetchRetriesForNewSegments(t *testing.T) {
	s := newTestCluster(t, 2)
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
