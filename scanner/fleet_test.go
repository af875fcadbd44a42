package scanner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/keyspace"
	"firescan/provider"
	"firescan/provider/mem"
	"firescan/replica"
	spb "firescan/scanner/scannerpb"
)

// A fleet is several nodes on one log that scan one bucket, and the network between them.
type fleet struct {
	t             testing.TB
	log           *catalogtest.Log
	account       *mem.Account
	lease         time.Duration
	leaderTimeout time.Duration
	nodes         []*fleetNode
	lists         atomic.Int64 // keys that were listed
	logged        messages
	// network may lose, delay or repeat the messages between a leader and a node.
	network func(ctx context.Context, to *fleetNode, a *spb.Assignment, deliver func(context.Context) (*spb.StatusReport, error)) (*spb.StatusReport, error)
}

type fleetNode struct {
	*catalogtest.Node
	fleet      *fleet
	index      *index.Store
	worker     atomic.Pointer[Worker]
	replicator *replica.Replicator

	stop   context.CancelFunc // nil while it is stopped
	ended  sync.WaitGroup
	unlead func() // nil while it does not lead
	// list is called before each page, opened before a bucket is opened.
	list   func(ctx context.Context, req provider.ListRequest) error
	opened func() error
}

const (
	fleetKeys    = 90_000
	fleetStreams = 3
	fleetLatency = time.Millisecond
)

// newFleet returns nodes on a bucket of 90,000 files, of which a tenth have records.
func newFleet(t testing.TB, nodes int) *fleet {
	t.Helper()
	f := &fleet{t: t, lease: time.Second, leaderTimeout: 1300 * time.Millisecond}
	f.account = mem.New(mem.Options{}, bucket)
	keys, paths := production(fleetKeys / 3)
	f.account.Fill(bucket, 10, time.Unix(1e9, 0), keys...)
	f.log = catalogtest.New(t, catalog.Options{})
	for i := range nodes {
		f.nodes = append(f.nodes, f.newNode(fmt.Sprintf("node%d", i)))
	}
	t.Cleanup(f.close)
	f.log.Put(catalogtest.Destination(org, destID, bucket))
	slices.Sort(paths)
	f.log.PutBackups(org, destID, paths[:fleetKeys/30]...)
	return f
}

func (f *fleet) newNode(id string) *fleetNode {
	n := &fleetNode{fleet: f, Node: f.log.Join(id)}
	var err error
	if n.index, err = index.Open(filepath.Join(n.Dir, "index"), index.Options{Registerer: prometheus.NewRegistry()}); err != nil {
		f.t.Fatal(err)
	}
	n.replicator = replica.New(replica.Config{Node: id, Catalog: n.Catalog, Index: n.index, Proposer: n, Logger: slog.New(&n.fleet.logged)})
	return n
}

func (f *fleet) close() {
	for _, n := range f.nodes {
		n.kill()
		if err := n.index.Close(); err != nil {
			f.t.Error(err)
		}
	}
}

// start runs the workers of all nodes, and makes the first one the leader.
func (f *fleet) start() {
	for _, n := range f.nodes {
		n.start()
	}
	f.lead(f.nodes[0])
}

func (n *fleetNode) start() {
	w := NewWorker(WorkerConfig{
		Node: n.ID, Catalog: n.Catalog, Index: n.index, Streams: fleetStreams, Proposer: n, Buckets: n,
		LeaderTimeout: n.fleet.leaderTimeout, Logger: slog.New(&n.fleet.logged),
	})
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.worker.Store(w)
	n.ended.Go(func() { _ = w.Run(ctx) })
	n.Start()
}

// kill stops a node: nothing that it does from now on takes effect.
func (n *fleetNode) kill() {
	n.Stop()
	if n.unlead != nil {
		n.unlead()
		n.unlead = nil
	}
	if n.stop != nil {
		n.stop()
		n.ended.Wait()
		n.stop = nil
	}
}

// lead makes a node the leader in a new term. The previous leader is not informed.
func (f *fleet) lead(n *fleetNode) {
	term := f.log.Elect(n.Node)
	ctx, stop := context.WithCancel(context.Background())
	c := NewCoordinator(CoordinatorConfig{
		Catalog: n.Catalog, Proposer: n, Buckets: n, Shards: n.replicator, Peers: f, Publisher: n,
		Lease: f.lease, Logger: slog.New(&n.fleet.logged), Registerer: prometheus.NewRegistry(),
	})
	var work sync.WaitGroup
	work.Go(func() { _ = c.Run(ctx, term) })
	n.unlead = func() {
		stop()
		work.Wait()
	}
}

// Publish implements Publisher.
func (n *fleetNode) Publish(Progress) {}

// Alive implements Peers. Nodes that are down are still believed to be up.
func (f *fleet) Alive() (ids []string) {
	for _, n := range f.nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

func (f *fleet) node(id string) *fleetNode {
	return f.nodes[slices.IndexFunc(f.nodes, func(n *fleetNode) bool { return n.ID == id })]
}

// Exchange implements Peers.
func (f *fleet) Exchange(ctx context.Context, node string, a *spb.Assignment) (*spb.StatusReport, error) {
	n := f.node(node)
	deliver := func(ctx context.Context) (*spb.StatusReport, error) {
		if n.IsStopped() {
			return nil, errors.New("connection refused")
		}
		// A clone, as on a network: neither side sees later changes of the other.
		r, err := n.worker.Load().Exchange(ctx, proto.CloneOf(a))
		if n.IsStopped() {
			return nil, errors.New("connection reset")
		}
		return r, err
	}
	if f.network == nil {
		return deliver(ctx)
	}
	return f.network(ctx, n, a, deliver)
}

// Open implements Buckets.
func (n *fleetNode) Open(_ context.Context, d *pb.Destination) (provider.Bucket, error) {
	if n.opened != nil {
		if err := n.opened(); err != nil {
			return nil, err
		}
	}
	return fleetBucket{n.fleet.account.Bucket(d.Bucket), n}, nil
}

type fleetBucket struct {
	provider.Bucket
	node *fleetNode
}

func (b fleetBucket) List(ctx context.Context, req provider.ListRequest, page *provider.Page) error {
	select {
	case <-time.After(fleetLatency):
	case <-ctx.Done():
		return ctx.Err()
	}
	if b.node.list != nil {
		if err := b.node.list(ctx, req); err != nil {
			return err
		}
	}
	err := b.Bucket.List(ctx, req, page)
	b.node.fleet.lists.Add(int64(len(page.Objects)))
	return err
}

func (f *fleet) startSync() string { return f.log.StartSync(org, destID) }

func (f *fleet) get(id string) *pb.Sync { return f.log.Sync(org, id) }

// until waits until the sync has so many segments, or has ended.
func (f *fleet) until(id string, segments uint64) (s *pb.Sync) {
	f.t.Helper()
	f.log.Wait(fmt.Sprintf("%d segments of sync %s", segments, id), func() bool {
		s = f.get(id)
		return s.Segments >= segments || s.FinishedAt != 0
	})
	return s
}

// messages is a slog.Handler that counts messages.
type messages struct {
	mu    sync.Mutex
	count map[string]int
}

func (m *messages) Enabled(context.Context, slog.Level) bool { return true }
func (m *messages) WithAttrs([]slog.Attr) slog.Handler       { return m }
func (m *messages) WithGroup(string) slog.Handler            { return m }

func (m *messages) Handle(_ context.Context, r slog.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count == nil {
		m.count = map[string]int{}
	}
	m.count[r.Message]++
	return nil
}

// untilLogged waits until a node has logged a message.
func (f *fleet) untilLogged(message string) {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		f.logged.mu.Lock()
		n := f.logged.count[message]
		f.logged.mu.Unlock()
		if n > 0 {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("nothing was logged like: %s", message)
		}
	}
}

func (f *fleet) wait(id string) *pb.Sync { return f.log.WaitSync(org, id) }

// waitIdle waits until no node runs a scan of a sync.
func (f *fleet) waitIdle(id string) {
	f.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, n := range f.nodes {
		w := n.worker.Load()
		w.mu.Lock()
		local := w.syncs[id]
		w.mu.Unlock()
		for local != nil && !local.isIdle() {
			if time.Now().After(deadline) {
				f.t.Fatalf("%s still scans", n.ID)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// segments returns the segments that a sync has recorded.
func (f *fleet) segments(id string) []*pb.Segment {
	f.t.Helper()
	return catalogtest.Read(f.log, func(tx *catalog.Tx) ([]*pb.Segment, error) { return tx.Segments(id) })
}

// found returns each path in the segments of a sync and whether it is linked, and how
// many paths each node listed.
func (f *fleet) found(id string) (files map[string]bool, by map[string]int) {
	f.t.Helper()
	files, by = map[string]bool{}, map[string]int{}
	segments := f.segments(id)
	for _, n := range f.nodes {
		m := index.Manifest{Generation: id}
		for _, s := range segments {
			if s.Node == n.ID && s.FileSize > 0 {
				m.Segments = append(m.Segments, index.SegmentRef{ID: s.Id, Checksum: s.Checksum})
			}
		}
		if len(m.Segments) == 0 {
			continue
		}
		if err := n.index.Promote(destID, m); err != nil {
			f.t.Fatal(err)
		}
		v, err := n.index.View(destID)
		if err != nil {
			f.t.Fatal(err)
		}
		if _, _, err := v.Query(index.Query{}, func(e *index.Entry) bool {
			if _, twice := files[string(e.Path)]; twice {
				f.t.Fatalf("%q is in two segments", e.Path)
			}
			files[string(e.Path)] = e.Linked
			by[n.ID]++
			return true
		}); err != nil {
			f.t.Fatal(err)
		}
		v.Release()
	}
	return files, by
}

// expectedFiles returns the result of an undisturbed scan.
func expectedFiles() map[string]bool {
	keys, paths := production(fleetKeys / 3)
	slices.Sort(paths)
	linked := map[string]bool{}
	for _, p := range paths[:fleetKeys/30] {
		linked[string(keyspace.Stem([]byte(p)))] = true
	}
	files := map[string]bool{}
	for _, k := range keys {
		files[k] = linked[string(keyspace.Stem([]byte(k)))]
	}
	return files
}

// check waits for the end of a sync, compares its result with that of an undisturbed
// scan, and returns how many files each node listed.
func (f *fleet) check(id string) (by map[string]int) {
	f.t.Helper()
	s := f.wait(id)
	if s.Status != catalog.SyncCompleted || s.FilesScanned != fleetKeys {
		f.t.Fatalf("sync %v, want completed with %d files", s, fleetKeys)
	}
	files, by := f.found(id)
	if !maps.Equal(files, expectedFiles()) {
		f.t.Fatalf("found %d files, not those of an undisturbed scan", len(files))
	}
	return by
}

// listedTwice returns how many keys were listed more than once, in percent.
func (f *fleet) listedTwice() float64 {
	return 100 * float64(f.lists.Load()-fleetKeys) / fleetKeys
}

// seeded returns random numbers for a test, and logs the seed when the test fails.
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
