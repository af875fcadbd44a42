package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org    = "org1"
	destID = "storage_1"
	bucket = "backups-bucket"
)

// A testCluster is several nodes that keep copies of shards, and faults between them.
// Nothing happens by itself: a test makes each node reconcile.
type testCluster struct {
	t     testing.TB
	log   *catalogtest.Log
	nodes []*testNode

	mu     sync.Mutex
	starts int // of syncs, as proposed by the nodes
}

// A testNode is a node of a testCluster.
type testNode struct {
	*testCluster
	id         string
	member     *catalogtest.Node
	index      *index.Store
	replicator *Replicator
	// down: the node is stopped; left: it is no member; behind: its catalog is paused;
	// mute: it counts as alive and does not respond.
	down, left, mute bool
	behind           atomic.Bool
	// sees replaces the members that the node sees, unless it is nil.
	sees func() []Member
	// fetching is called before each fetch, and may make it fail.
	fetching func(ctx context.Context, from, segment string) error
	fetched  []string // segment@node
}

// newTestCluster returns nodes that know one destination.
func newTestCluster(t testing.TB, nodes int) *testCluster {
	t.Helper()
	s := &testCluster{t: t, log: catalogtest.New(t, catalog.Options{})}
	for range nodes {
		s.join()
	}
	t.Cleanup(func() {
		for _, n := range s.nodes {
			n.close()
		}
	})
	s.destination(destID)
	return s
}

func (s *testCluster) destination(id string) {
	s.t.Helper()
	s.propose(&pb.PutDestination{Create: true, Destination: &pb.Destination{
		Org: org, Id: id, Name: id, Type: catalog.TypeS3, Bucket: id, Verified: true, CreatedAt: 1,
	}})
}

// join adds a node.
func (s *testCluster) join() *testNode {
	s.t.Helper()
	id := fmt.Sprintf("node%d", len(s.nodes))
	n := &testNode{testCluster: s, id: id, member: s.log.Join(id)}
	n.open()
	s.nodes = append(s.nodes, n)
	return n
}

// open opens the index and makes the replicator.
func (n *testNode) open() {
	n.t.Helper()
	var err error
	if n.index, err = index.Open(n.indexDir(), index.Options{Registerer: prometheus.NewRegistry()}); err != nil {
		n.t.Fatal(err)
	}
	n.replicator = New(Config{Node: n.id, Catalog: n.member.Catalog, Index: n.index, Proposer: n, Peers: n, Logger: slog.New(slog.DiscardHandler)})
	n.replicator.config.Timing.Retry, n.replicator.config.Timing.MaxRetry = 0, 0
}

func (n *testNode) indexDir() string { return filepath.Join(n.member.Dir, "index") }

func (n *testNode) close() {
	n.replicator.work.Wait()
	if err := n.index.Close(); err != nil {
		n.t.Error(err)
	}
}

// restart restarts a node, as after a crash.
func (n *testNode) restart() { n.reopen(n.member.Restart) }

// wipe restarts a node on an empty disk.
func (n *testNode) wipe() { n.reopen(n.member.Wipe) }

func (n *testNode) reopen(catalog func()) {
	n.t.Helper()
	n.close()
	catalog()
	n.down = false
	n.behind.Store(false)
	n.open()
}

// stop stops a node; update starts it.
func (n *testNode) stop() {
	n.down = true
	n.member.Stop()
}

// pause lets the catalog of a node stand still until update or its next proposal.
func (n *testNode) pause() {
	n.behind.Store(true)
	n.member.Pause()
}

// update starts a node that is stopped or paused.
func (n *testNode) update() {
	n.t.Helper()
	n.down = false
	n.behind.Store(false)
	n.member.Start()
}

// Propose implements Proposer.
func (n *testNode) Propose(ctx context.Context, m proto.Message) (*pb.Result, error) {
	n.behind.Store(false)
	if _, ok := m.(*pb.StartSync); ok {
		n.mu.Lock()
		n.starts++
		n.mu.Unlock()
	}
	return n.member.Propose(ctx, m)
}

// propose proposes a command of the test.
func (s *testCluster) propose(m proto.Message) *pb.Result {
	s.t.Helper()
	res, err := s.up()[0].member.Propose(s.t.Context(), m)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

func (s *testCluster) up() []*testNode {
	return slices.DeleteFunc(slices.Clone(s.nodes), func(n *testNode) bool { return n.down || n.left || n.behind.Load() })
}

// Members implements Peers.
func (n *testNode) Members() (all []Member) {
	if n.sees != nil {
		return n.sees()
	}
	for _, o := range n.nodes {
		if !o.left {
			all = append(all, Member{ID: o.id, Alive: !o.down})
		}
	}
	return all
}

func (s *testCluster) node(id string) *testNode {
	return s.nodes[slices.IndexFunc(s.nodes, func(n *testNode) bool { return n.id == id })]
}

// Held implements Peers.
func (n *testNode) Held(_ context.Context, node, destination string, ids []string) ([]bool, error) {
	o := n.node(node)
	if o.down || o.mute {
		return nil, fmt.Errorf("%s does not respond", node)
	}
	held := make([]bool, len(ids))
	for i, id := range ids {
		held[i] = o.index.Has(destination, id)
	}
	return held, nil
}

// Fetch implements Peers.
func (n *testNode) Fetch(ctx context.Context, node, destination string, s *pb.Segment) error {
	if n.fetching != nil {
		if err := n.fetching(ctx, node, s.Id); err != nil {
			return err
		}
	}
	o := n.node(node)
	if o.down || o.mute {
		return fmt.Errorf("%s does not respond", node)
	}
	f, tag, err := o.index.OpenSealed(destination, s.Id)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoSegment, err)
	}
	defer f.Close()
	in, err := n.index.Receive(destination, s.Id)
	if err == nil {
		err = in.Begin(tag)
	}
	if err == nil {
		_, err = io.Copy(in, f)
	}
	if err == nil {
		err = in.Commit(s.Checksum)
	}
	if err == nil {
		n.mu.Lock()
		n.fetched = append(n.fetched, s.Id+"@"+node)
		n.mu.Unlock()
	}
	return err
}

// reconcile makes one pass, and waits for the fetches that it started.
func (n *testNode) reconcile() {
	n.t.Helper()
	if _, err := n.replicator.reconcile(n.t.Context()); err != nil {
		n.t.Errorf("%s: %v", n.id, err)
	}
	n.replicator.work.Wait()
}

// settle makes all nodes reconcile until nothing changes.
func (s *testCluster) settle() {
	s.t.Helper()
	for range 6 {
		for _, n := range s.up() {
			n.reconcile()
		}
	}
}

// begin starts a sync.
func (s *testCluster) begin(destination string) string {
	s.t.Helper()
	return s.propose(&pb.StartSync{Org: org, DestinationId: destination, SyncId: catalog.NewID(catalog.KindSync), At: 1000}).SyncId
}

// list lists the keys of a sync from one letter to another: three files a letter. Empty
// letters are the ends of the key space.
func (n *testNode) list(destination, syncID, from, to string) *pb.Segment {
	n.t.Helper()
	fact := &pb.Segment{
		Id: catalog.NewSegmentID(syncID), Start: []byte(from), End: []byte(to), ClassifiedAt: n.member.Catalog.AppliedIndex(), Node: n.id,
	}
	w, err := n.index.NewSegment(destination, fact.Id, fact.Start)
	if err != nil {
		n.t.Fatal(err)
	}
	for letter := byte('a'); letter <= 'z'; letter++ {
		for i := range 3 {
			path := fmt.Appendf(nil, "%c/%d.backup", letter, i)
			if string(path) < from || to != "" && string(path) >= to {
				continue
			}
			if err := w.Add(&index.Entry{Path: path, Size: 1, ModTime: 1}); err != nil {
				n.t.Fatal(err)
			}
		}
	}
	info, err := w.Seal(fact.End, fact.ClassifiedAt)
	if err != nil {
		n.t.Fatal(err)
	}
	fact.Files, fact.Bytes, fact.Orphans = info.Stats.Files(), info.Stats.Bytes(), info.Stats.OrphanFiles()
	fact.Checksum, fact.FileSize = info.Checksum, uint64(info.FileSize)
	n.propose(&pb.SealSegments{SyncId: syncID, Segments: []*pb.Segment{fact}})
	return fact
}

// allFiles is the number of files that a sync lists.
const allFiles = 26 * 3

// scan begins a sync that nodes list by turns.
func (s *testCluster) scan(destination string, by ...*testNode) (id string, sealed []*pb.Segment) {
	s.t.Helper()
	id = s.begin(destination)
	from := ""
	for i, to := range []string{"c", "f", "i", "m", "q", "u", ""} {
		sealed = append(sealed, by[i%len(by)].list(destination, id, from, to))
		from = to
	}
	return id, sealed
}

func (s *testCluster) promote(id string) {
	s.t.Helper()
	s.propose(&pb.PromoteSync{SyncId: id, At: 2000})
}

// holders returns the holders of a result in the catalog.
func (s *testCluster) holders(destination, id string) (nodes []string) {
	s.t.Helper()
	if err := s.up()[0].member.Catalog.View(func(tx *catalog.Tx) error {
		held, err := tx.Holders(destination)
		for _, h := range held {
			if h.Generation == id {
				nodes = append(nodes, h.Node)
			}
		}
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return nodes
}

// has returns how many of the segments a node has.
func (n *testNode) has(destination string, sealed []*pb.Segment) (count int) {
	for _, s := range sealed {
		if n.index.Has(destination, s.Id) {
			count++
		}
	}
	return count
}

// reads returns the number of files in a node's shard.
func (n *testNode) reads(destination string) (files int, err error) {
	v, err := n.replicator.View(n.t.Context(), destination)
	if err != nil {
		return 0, err
	}
	defer v.Release()
	_, _, err = v.Query(index.Query{}, func(*index.Entry) bool { files++; return true })
	return files, err
}

// desired returns the running nodes that should hold a shard.
func (s *testCluster) desired(destination string) (nodes []*testNode) {
	for _, id := range s.wantedIDs(destination) {
		nodes = append(nodes, s.node(id))
	}
	return nodes
}

func (s *testCluster) wantedIDs(destination string) []string {
	var ids []string
	for _, n := range s.nodes {
		if !n.left && !n.down {
			ids = append(ids, n.id)
		}
	}
	return placement(destination, ids)
}

// unwanted returns the other running nodes.
func (s *testCluster) unwanted(destination string) []*testNode {
	desired := s.desired(destination)
	return slices.DeleteFunc(s.up(), func(n *testNode) bool { return slices.Contains(desired, n) })
}

// replicatedOn checks that exactly these nodes hold a generation, report it, and serve it.
func (s *testCluster) replicatedOn(destination, id string, sealed []*pb.Segment, want []string) {
	s.t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := s.holders(destination, id); !slices.Equal(got, want) {
		s.t.Errorf("held by %v, want %v", got, want)
	}
	for _, n := range s.up() {
		desired := slices.Contains(want, n.id)
		switch files, err := n.reads(destination); {
		case desired && (err != nil || files != allFiles):
			s.t.Errorf("%s serves %d files: %v", n.id, files, err)
		case !desired && !errors.Is(err, index.ErrNoShard):
			s.t.Errorf("%s is not to hold it, and serves %d files: %v", n.id, files, err)
		}
		if has := n.has(destination, sealed); has > 0 != desired {
			s.t.Errorf("%s has %d of %d segments", n.id, has, len(sealed))
		}
	}
}

// seeded returns a source of randomness and logs its seed when the test fails.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}
