package scanner

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
	"firescan/replica"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org    = "org1"
	destID = "storage_1"
	bucket = "backups-bucket"
)

// A rig is a node that scans one destination, which is a whole bucket in memory.
type rig struct {
	t         testing.TB
	log       *catalogtest.Log
	node      *catalogtest.Node
	account   *mem.Account
	syncEvery time.Duration

	index      *index.Store
	replicator *replica.Replicator
	stop       context.CancelFunc // nil while it is stopped
	parts      sync.WaitGroup

	mu       sync.Mutex
	progress []Progress
}

// newRig returns a rig that is not started.
func newRig(t testing.TB, opts mem.Options) *rig {
	t.Helper()
	r := &rig{t: t, account: mem.New(opts, bucket)}
	r.log = catalogtest.New(t, catalog.Options{Logger: slog.New(slog.DiscardHandler)}, "node1")
	r.node = r.log.Node("node1")
	r.log.Put(catalogtest.Destination(org, destID, bucket))
	t.Cleanup(r.halt)
	return r
}

// start runs the node until halt.
func (r *rig) start() {
	registry, logger := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	var err error
	if r.index, err = index.Open(filepath.Join(r.node.Dir, "index"), index.Options{Logger: logger, Registerer: registry}); err != nil {
		r.t.Fatal(err)
	}
	r.replicator = replica.New(replica.Config{Catalog: r.node.Catalog, Index: r.index, Proposer: r.node, Logger: logger})
	worker := NewWorker(WorkerConfig{
		Node: "node1", Catalog: r.node.Catalog, Index: r.index, Streams: 8, Proposer: r.node, Buckets: r, Logger: logger,
	})
	coordinator := NewCoordinator(CoordinatorConfig{
		Catalog: r.node.Catalog, Proposer: r.node, Buckets: r, Shards: r.replicator, Publisher: r,
		Peers: Alone{worker}, SyncEvery: r.syncEvery, Logger: logger, Registerer: registry,
	})
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.parts.Go(func() { _ = worker.Run(ctx) })
	r.parts.Go(func() { _ = coordinator.Run(ctx, 1) })
	r.parts.Go(func() { _ = r.replicator.Run(ctx) })
}

// halt stops the node and closes its index.
func (r *rig) halt() {
	if r.stop == nil {
		return
	}
	r.stop()
	r.parts.Wait()
	r.stop = nil
	if err := r.index.Close(); err != nil {
		r.t.Error(err)
	}
}

// restart restarts the node as after a crash.
func (r *rig) restart() {
	r.halt()
	r.node.Restart()
	r.start()
}

// Open implements Buckets.
func (r *rig) Open(_ context.Context, d *pb.Destination) (provider.Bucket, error) {
	return r.account.Bucket(d.Bucket), nil
}

// Publish implements Publisher.
func (r *rig) Publish(p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = append(r.progress, p)
}

func (r *rig) backups(paths ...string) { r.log.PutBackups(org, destID, paths...) }

func (r *rig) startSync() string { return r.log.StartSync(org, destID) }

func (r *rig) get(id string) *pb.Sync { return r.log.Sync(org, id) }

func (r *rig) wait(id string) *pb.Sync { return r.log.WaitSync(org, id) }

// sync starts a sync and waits for its end.
func (r *rig) sync() *pb.Sync { return r.wait(r.startSync()) }

func (r *rig) view() *index.View {
	r.t.Helper()
	v, err := r.replicator.View(r.t.Context(), destID)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// files returns each path of the shard and whether it is linked.
func (r *rig) files() map[string]bool {
	r.t.Helper()
	v := r.view()
	defer v.Release()
	files, err := filesOf(v)
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

func filesOf(v *index.View) (map[string]bool, error) {
	files := map[string]bool{}
	_, _, err := v.Query(index.Query{}, func(e *index.Entry) bool {
		files[string(e.Path)] = e.Linked
		return true
	})
	return files, err
}

func (r *rig) missing() (paths []string) {
	r.t.Helper()
	v := r.view()
	defer v.Release()
	list, _, err := v.Missing(org, nil, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range list {
		paths = append(paths, string(m.Path))
	}
	return paths
}
