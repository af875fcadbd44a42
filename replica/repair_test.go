package replica

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// damage replaces the file of a segment by a damaged one. Open files are not changed.
func (n *testNode) damage(destination, segment string) {
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

// TestDamageIsRepaired checks that a damaged segment is fetched again without a scan,
// even when the first node that is asked has a damaged copy, too.
func TestDamageIsRepaired(t *testing.T) {
	s := newTestCluster(t, 3)
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

// TestEmptyDisk checks that a node with a new disk reports that it holds nothing, and
// copies its shards again.
func TestEmptyDisk(t *testing.T) {
	s := newTestCluster(t, 3)
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

// TestLastCopyIsLost checks that one sync is started however many nodes notice the loss,
// and another one only long after the first has failed.
func TestLastCopyIsLost(t *testing.T) {
	s := newTestCluster(t, 4)
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

// TestReplacedGenerationIsNotResynced checks that a node whose catalog is behind does not
// take a replaced generation for a lost one.
func TestReplacedGenerationIsNotResynced(t *testing.T) {
	s := newTestCluster(t, 3)
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

// wipeIndex empties the index of a node and keeps its catalog.
func (n *testNode) wipeIndex() {
	n.t.Helper()
	n.close()
	if err := os.RemoveAll(n.indexDir()); err != nil {
		n.t.Fatal(err)
	}
	n.open()
}
