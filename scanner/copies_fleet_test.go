package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/replica"
)

// fleetCopies are the shards of the other nodes of a fleet.
type fleetCopies struct {
	node *fleetNode
	// refuse reports whether copying from a node fails.
	refuse func(from *fleetNode) bool
}

// Members implements replica.Peers.
func (c fleetCopies) Members() (all []replica.Member) {
	for _, n := range c.node.fleet.nodes {
		all = append(all, replica.Member{ID: n.ID, Alive: !n.IsStopped()})
	}
	return all
}

func (c fleetCopies) named(id string) (*fleetNode, error) {
	n := c.node.fleet.node(id)
	if n.IsStopped() {
		return nil, fmt.Errorf("%s does not respond", id)
	}
	return n, nil
}

// Held implements replica.Peers.
func (c fleetCopies) Held(_ context.Context, node, destination string, ids []string) ([]bool, error) {
	n, err := c.named(node)
	if err != nil {
		return nil, err
	}
	held := make([]bool, len(ids))
	for i, id := range ids {
		held[i] = n.index.Has(destination, id)
	}
	return held, nil
}

// Fetch implements replica.Peers.
func (c fleetCopies) Fetch(_ context.Context, node, destination string, s *pb.Segment) error {
	n, err := c.named(node)
	if err != nil {
		return err
	}
	if c.refuse(n) {
		return errors.New("connection reset")
	}
	f, tag, err := n.index.OpenSealed(destination, s.Id)
	if err != nil {
		return fmt.Errorf("%w: %w", replica.ErrNoSegment, err)
	}
	defer f.Close()
	in, err := c.node.index.Receive(destination, s.Id)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.Begin(tag); err != nil {
		return err
	}
	if _, err := io.Copy(in, f); err != nil {
		return err
	}
	return in.Commit(s.Checksum)
}

// keep gives each node a replicator that copies shards, which runs until the test ends.
func (f *fleet) keep(refuse func(from *fleetNode) bool) {
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, n := range f.nodes {
		n.replicator = replica.New(replica.Config{
			Node: n.ID, Catalog: n.Catalog, Index: n.index, Proposer: n, Peers: fleetCopies{n, refuse}, Grace: time.Millisecond,
			Timing: replica.Timing{Retry: 20 * time.Millisecond, Return: 20 * time.Millisecond},
			Logger: slog.New(slog.DiscardHandler),
		})
		work.Go(func() { _ = n.replicator.Run(ctx) })
	}
	f.t.Cleanup(func() {
		stop()
		work.Wait()
	})
}

// reads returns the files of a node's shard.
func (n *fleetNode) reads() (map[string]bool, error) {
	v, err := n.replicator.View(n.fleet.t.Context(), destID)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	return filesOf(v)
}

// TestLostSegmentsAreListedAgain: a node dies at the end of a scan with segments that no
// other node has. These and only these are listed again, while others read the last
// generation, and the result is the same.
func TestLostSegmentsAreListedAgain(t *testing.T) {
	f := newFleet(t, 3)
	f.lease, f.leaderTimeout = 8*time.Second, time.Minute // long for a busy machine, short beside the wait for a sync
	var refused atomic.Pointer[fleetNode]
	f.keep(func(from *fleetNode) bool { return from == refused.Load() })
	f.start()
	if s := f.wait(f.startSync()); s.Status != "completed" {
		t.Fatalf("the first sync: %v", s)
	}
	want := expectedFiles()
	reading, stopReading := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var readings atomic.Int64
	for _, n := range f.nodes[:2] {
		readers.Go(func() {
			for reading.Err() == nil {
				// A promotion is visible on one node before the other, which then has no shard.
				files, err := n.reads()
				if err == nil && !maps.Equal(files, want) || err != nil && !errors.Is(err, index.ErrNoShard) {
					t.Errorf("%s shows %d files: %v", n.ID, len(files), err)
					return
				}
				if err == nil {
					readings.Add(1)
				}
			}
		})
	}
	victim := f.nodes[2]
	refused.Store(victim)
	listed := f.lists.Load()
	id := f.startSync()
	f.log.Wait("all files", func() bool { return f.get(id).FilesScanned >= fleetKeys })
	own := 0
	for _, s := range f.segments(id) {
		if s.Node == victim.ID {
			own += int(s.Files)
		}
	}
	if own == 0 {
		t.Fatal("the node that is to be killed has listed nothing")
	}
	victim.kill()
	s := f.wait(id)
	stopReading()
	readers.Wait()
	if s.Status != "completed" || s.FilesScanned != uint64(len(want)) {
		t.Fatalf("the sync: %v", s)
	}
	if again := int(f.lists.Load()-listed) - len(want); again < own || again > own+own/4 {
		t.Errorf("%d keys were listed again, want the %d lost ones", again, own)
	}
	for _, n := range f.nodes[:2] {
		if files, err := n.reads(); err != nil || !maps.Equal(files, want) {
			t.Errorf("%s shows %d files: %v", n.ID, len(files), err)
		}
	}
	if readings.Load() == 0 {
		t.Error("no read succeeded meanwhile")
	}
}
