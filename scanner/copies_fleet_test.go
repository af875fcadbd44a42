package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/replica"
)

// fleetCopies are the shards of a fleet's other nodes.
type fleetCopies struct {
	*fleetNode
	// refuse tells what cannot be copied now.
	refuse func(from *fleetNode) bool
}

// Members implements Replicas.
func (c fleetCopies) Members() (all []replica.Member) {
	for _, n := range c.nodes {
		all = append(all, replica.Member{ID: n.id, Alive: !n.down.Load()})
	}
	return all
}

func (c fleetCopies) named(id string) (*fleetNode, error) {
	n := c.nodes[slices.IndexFunc(c.nodes, func(n *fleetNode) bool { return n.id == id })]
	if n.down.Load() {
		return nil, fmt.Errorf("%s does not answer", id)
	}
	return n, nil
}

// Held implements Replicas.
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

// Fetch implements Replicas.
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
	in, err := c.index.Receive(destination, s.Id)
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

// keep gives each node a keeper that holds copies, and runs it until the test ends.
func (f *fleet) keep(refuse func(from *fleetNode) bool) {
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, n := range f.nodes {
		n.keeper = replica.New(replica.Config{
			Node: n.id, Catalog: n.catalog, Index: n.index, Proposer: n, Peers: fleetCopies{n, refuse}, Grace: time.Millisecond,
			Timing: replica.Timing{Retry: 20 * time.Millisecond, Return: 20 * time.Millisecond},
			Logger: slog.New(slog.DiscardHandler),
		})
		work.Go(func() { _ = n.keeper.Run(ctx) })
	}
	f.t.Cleanup(func() {
		stop()
		work.Wait()
	})
}

// segments are those that a sync has recorded.
func (f *fleet) segments(id string) (all []*pb.Segment) {
	f.t.Helper()
	if err := f.nodes[0].catalog.View(func(tx *catalog.Tx) (err error) {
		all, err = tx.Segments(id)
		return err
	}); err != nil {
		f.t.Fatal(err)
	}
	return all
}

// reads is what a reader of a node's shard is shown.
func (n *fleetNode) reads() (map[string]bool, error) {
	v, err := n.keeper.View(n.t.Context(), destID)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	files := map[string]bool{}
	_, _, err = v.Query(index.Query{}, func(e *index.Entry) bool {
		files[string(e.Path)] = e.Linked
		return true
	})
	return files, err
}

// TestListedAgainWhenItsOnlyCopyIsGone: a node dies at the end of a scan with segments that
// nobody else has. These are listed again, and nothing else, while others read the last
// generation; and the result is the same.
func TestListedAgainWhenItsOnlyCopyIsGone(t *testing.T) {
	f := newFleet(t, 3)
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
				// A promotion shows here before it shows there: then another node is asked.
				files, err := n.reads()
				if err == nil && !maps.Equal(files, want) || err != nil && !errors.Is(err, index.ErrNoShard) {
					t.Errorf("%s shows %d files: %v", n.id, len(files), err)
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
	for f.get(id).FilesScanned < fleetKeys {
		time.Sleep(time.Millisecond)
	}
	own := 0
	for _, s := range f.segments(id) {
		if s.Node == victim.id {
			own += int(s.Files)
		}
	}
	if own == 0 {
		t.Fatal("the node that is to die has listed nothing")
	}
	victim.kill()
	s := f.wait(id)
	stopReading()
	readers.Wait()
	if s.Status != "completed" || s.FilesScanned != uint64(len(want)) {
		t.Fatalf("the sync: %v", s)
	}
	if again := int(f.lists.Load()-listed) - len(want); again < own || again > own+own/4 {
		t.Errorf("%d keys were listed again of %d that were lost", again, own)
	}
	for _, n := range f.nodes[:2] {
		if files, err := n.reads(); err != nil || !maps.Equal(files, want) {
			t.Errorf("%s shows %d files: %v", n.id, len(files), err)
		}
	}
	if readings.Load() == 0 {
		t.Error("nobody has read meanwhile")
	}
}
