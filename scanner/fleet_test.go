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
	"firescan/index"
	"firescan/keyspace"
	"firescan/provider"
	"firescan/provider/mem"
	"firescan/replica"
	spb "firescan/scanner/scannerpb"
)

// fleet is several nodes with a catalog and an index each, one log, one bucket, and a
// network between them that may do anything.
type fleet struct {
	t       testing.TB
	account *mem.Account
	lease   time.Duration
	silence time.Duration
	nodes   []*fleetNode
	lists   atomic.Int64 // keys that were listed
	// network may lose, delay or repeat what a leader and a node say to one another.
	network func(ctx context.Context, to *fleetNode, o *spb.Order, deliver func(context.Context) (*spb.Report, error)) (*spb.Report, error)

	mu     sync.Mutex
	log    []catalog.Entry
	term   uint64
	leader *fleetNode
}

type fleetNode struct {
	*fleet
	id      string
	catalog *catalog.Catalog
	index   *index.Store
	worker  *Worker
	keeper  *replica.Replicator
	streams int

	down   atomic.Bool // as after kill -9: nothing that it does counts any more
	behind atomic.Bool // its catalog stands still
	stop   context.CancelFunc
	ended  sync.WaitGroup
	// coordinating is set while it leads.
	unlead func()
	// list happens before each page.
	list   func(ctx context.Context, req provider.ListRequest) error
	opened func() error
}

const (
	fleetKeys    = 90_000
	fleetLatency = time.Millisecond
)

// newFleet makes nodes on a bucket of 90,000 files, of which a tenth have records.
func newFleet(t testing.TB, nodes int) *fleet {
	t.Helper()
	f := &fleet{t: t, lease: time.Second, silence: 1300 * time.Millisecond}
	f.account = mem.New(mem.Options{}, bucket)
	keys, paths := production(fleetKeys / 3)
	f.account.Fill(bucket, 10, time.Unix(1e9, 0), keys...)
	for i := range nodes {
		f.nodes = append(f.nodes, f.newNode(fmt.Sprintf("node%d", i)))
	}
	t.Cleanup(f.close)
	f.propose(&pb.PutDestination{Create: true, Destination: &pb.Destination{
		Org: org, Id: destID, Name: "Production", Type: catalog.TypeS3, Bucket: bucket, Verified: true, CreatedAt: 1,
	}})
	slices.Sort(paths)
	for batch := range slices.Chunk(paths[:fleetKeys/30], 1000) {
		cmd := &pb.PutRecords{Org: org}
		for i, p := range batch {
			cmd.Records = append(cmd.Records, &pb.Record{Kind: &pb.Record_Backup{Backup: &pb.Backup{
				Org: org, Id: fmt.Sprintf("bkp_%s_%d", p, i), StorageId: destID, Status: "completed", StoragePath: []byte(p), CreatedAt: 1,
			}}})
		}
		f.propose(cmd)
	}
	return f
}

func (f *fleet) newNode(id string) *fleetNode {
	n := &fleetNode{fleet: f, id: id, streams: 3}
	dir, registry := f.t.TempDir(), prometheus.NewRegistry()
	var err error
	if n.catalog, err = catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{Registerer: registry}); err != nil {
		f.t.Fatal(err)
	}
	if n.index, err = index.Open(filepath.Join(dir, "index"), index.Options{Registerer: registry}); err != nil {
		f.t.Fatal(err)
	}
	n.keeper = replica.New(replica.Config{Node: id, Catalog: n.catalog, Index: n.index, Proposer: n, Logger: slog.New(slog.DiscardHandler)})
	return n
}

func (f *fleet) close() {
	for _, n := range f.nodes {
		n.kill()
		if err := errors.Join(n.index.Close(), n.catalog.Close()); err != nil {
			f.t.Error(err)
		}
	}
}

// start runs the workers of all nodes, and has the first one lead.
func (f *fleet) start() {
	for _, n := range f.nodes {
		n.start()
	}
	f.lead(f.nodes[0])
}

func (n *fleetNode) start() {
	n.worker = NewWorker(WorkerConfig{
		Node: n.id, Catalog: n.catalog, Index: n.index, Streams: n.streams, Proposer: n, Buckets: n,
		Silence: n.silence, Logger: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.ended.Go(func() { _ = n.worker.Run(ctx) })
	n.down.Store(false)
}

// kill ends all that a node does, and nothing that it tries to do any more counts.
func (n *fleetNode) kill() {
	n.down.Store(true)
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

// lead has a node lead from now on, in a new term. The one that led may not know yet.
func (f *fleet) lead(n *fleetNode) {
	f.mu.Lock()
	f.term++
	term := f.term
	f.leader = n
	f.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	c := NewCoordinator(CoordinatorConfig{
		Catalog: n.catalog, Index: n.index, Proposer: n, Buckets: n, Shards: n.keeper, Peers: f, Publisher: n,
		Lease: f.lease, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
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

// Alive implements Peers: those that are down are thought to be up for a while yet.
func (f *fleet) Alive() (ids []string) {
	for _, n := range f.nodes {
		ids = append(ids, n.id)
	}
	return ids
}

// Exchange implements Peers.
func (f *fleet) Exchange(ctx context.Context, node string, o *spb.Order) (*spb.Report, error) {
	n := f.nodes[slices.IndexFunc(f.nodes, func(n *fleetNode) bool { return n.id == node })]
	deliver := func(ctx context.Context) (*spb.Report, error) {
		if n.down.Load() {
			return nil, errors.New("connection refused")
		}
		// What is sent is copied: nobody sees what another does with it later.
		r, err := n.worker.Exchange(ctx, proto.CloneOf(o))
		if n.down.Load() {
			return nil, errors.New("connection reset")
		}
		return r, err
	}
	if f.network == nil {
		return deliver(ctx)
	}
	return f.network(ctx, n, o, deliver)
}

// Propose implements Proposer.
func (n *fleetNode) Propose(ctx context.Context, m proto.Message) (*pb.Result, error) {
	if n.down.Load() || n.behind.Load() {
		return nil, errCrashed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return n.fleet.append(n, m)
}

// append adds a command to the log, and applies it on all nodes that keep up.
func (f *fleet) append(by *fleetNode, m proto.Message) (res *pb.Result, err error) {
	data, err := catalog.Encode(m)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, catalog.Entry{Index: uint64(len(f.log) + 1), Term: 1, Data: data})
	for _, n := range f.nodes {
		if n.down.Load() || n.behind.Load() {
			continue
		}
		results, err := n.catalog.Apply(f.log[n.catalog.AppliedIndex():])
		if err != nil {
			return nil, err
		}
		if n == by {
			res = results[len(results)-1]
		}
	}
	return res, catalog.ResultError(res)
}

// catchUp applies what a node has missed.
func (n *fleetNode) catchUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.behind.Store(false)
	if _, err := n.fleet.catch(n); err != nil {
		n.t.Error(err)
	}
}

func (f *fleet) catch(n *fleetNode) ([]*pb.Result, error) {
	return n.catalog.Apply(f.log[n.catalog.AppliedIndex():])
}

func (f *fleet) propose(m proto.Message) *pb.Result {
	f.t.Helper()
	up := f.nodes[slices.IndexFunc(f.nodes, func(n *fleetNode) bool { return !n.down.Load() && !n.behind.Load() })]
	res, err := f.append(up, m)
	if err != nil {
		f.t.Fatal(err)
	}
	return res
}

// Open implements Buckets.
func (n *fleetNode) Open(_ context.Context, d *pb.Destination) (provider.Bucket, error) {
	if n.opened != nil {
		if err := n.opened(); err != nil {
			return nil, err
		}
	}
	return fleetBucket{n.account.Bucket(d.Bucket), n}, nil
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
	b.node.lists.Add(int64(len(page.Objects)))
	return err
}

func (f *fleet) startSync() string {
	f.t.Helper()
	return f.propose(&pb.StartSync{Org: org, DestinationId: destID, SyncId: catalog.NewID(catalog.KindSync), At: time.Now().UnixMilli()}).SyncId
}

func (f *fleet) get(id string) (s *pb.Sync) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		if n.catalog.AppliedIndex() != uint64(len(f.log)) {
			continue
		}
		if err := n.catalog.View(func(tx *catalog.Tx) (err error) {
			s, err = tx.Sync(org, id)
			return err
		}); err != nil {
			f.t.Fatal(err)
		}
	}
	return s
}

// until waits until the sync has so many segments, or has ended.
func (f *fleet) until(id string, segments uint64) *pb.Sync {
	f.t.Helper()
	for range 6000 {
		if s := f.get(id); s.Segments >= segments || s.FinishedAt != 0 {
			return s
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.t.Fatalf("sync %v stands still", f.get(id))
	return nil
}

func (f *fleet) wait(id string) *pb.Sync { return f.until(id, 1<<60) }

// found is what the generation that a sync made holds: each path and whether it is linked,
// read from the segments of the nodes that listed them; and how many each of them listed.
func (f *fleet) found(id string) (files map[string]bool, by map[string]int) {
	f.t.Helper()
	files, by = map[string]bool{}, map[string]int{}
	var segments []*pb.Segment
	for _, n := range f.nodes {
		if n.catalog.AppliedIndex() != uint64(len(f.log)) {
			continue
		}
		if err := n.catalog.View(func(tx *catalog.Tx) (err error) {
			segments, err = tx.Segments(id)
			return err
		}); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, n := range f.nodes {
		m := index.Manifest{Generation: id}
		for _, s := range segments {
			if s.Node == n.id && s.FileSize > 0 {
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
			by[n.id]++
			return true
		}); err != nil {
			f.t.Fatal(err)
		}
		v.Release()
	}
	return files, by
}

// expected is what an undisturbed scan finds.
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

// check waits for the end of a sync and compares what it has found with what an
// undisturbed scan finds.
func (f *fleet) check(id string) (by map[string]int) {
	f.t.Helper()
	s := f.wait(id)
	if s.Status != catalog.SyncCompleted || s.FilesScanned != fleetKeys {
		f.t.Fatalf("sync %v, want completed with %d files", s, fleetKeys)
	}
	files, by := f.found(id)
	if !maps.Equal(files, expectedFiles()) {
		f.t.Fatalf("%d files were found, not those that an undisturbed scan finds", len(files))
	}
	return by
}

// listedTwice is the part of all keys that were listed in vain, in per cent.
func (f *fleet) listedTwice() float64 {
	return 100 * float64(f.lists.Load()-fleetKeys) / fleetKeys
}

// seeded makes the randomness of a test, and tells its seed when the test fails.
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

// errCrashed is returned for every call of a node that has crashed.
var errCrashed = errors.New("the node has crashed")
