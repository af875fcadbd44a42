package deletion

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
	"firescan/replica"
	"firescan/scanner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org    = "org1"
	destID = "storage_1"
	bucket = "backups-bucket"
)

// rig is a node that scans one destination, which is a whole bucket in memory.
type rig struct {
	t       testing.TB
	log     *catalogtest.Log
	node    *catalogtest.Node
	catalog *catalog.Catalog
	account *mem.Account
	keeper  *replica.Replicator
}

// newRig starts a rig, which runs until the test ends.
func newRig(t testing.TB, opts mem.Options) *rig {
	t.Helper()
	log := catalogtest.New(t, catalog.Options{Logger: slog.New(slog.DiscardHandler)}, "node1")
	node := log.Node("node1")
	r := &rig{t: t, log: log, node: node, catalog: node.Catalog, account: mem.New(opts, bucket)}
	registry := prometheus.NewRegistry()
	store, err := index.Open(filepath.Join(node.Dir, "index"), index.Options{Logger: slog.New(slog.DiscardHandler), Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	r.keeper = replica.New(replica.Config{Catalog: r.catalog, Index: store, Proposer: node, Logger: logger})
	worker := scanner.NewWorker(scanner.WorkerConfig{
		Node: "node1", Catalog: r.catalog, Index: store, Streams: 8, Proposer: node, Buckets: r, Logger: logger,
	})
	coordinator := scanner.NewCoordinator(scanner.CoordinatorConfig{
		Catalog: r.catalog, Proposer: node, Buckets: r, Shards: r.keeper, Publisher: r,
		Peers: scanner.Alone{Worker: worker}, Logger: logger, Registerer: registry,
	})
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = worker.Run(ctx) })
	parts.Go(func() { _ = coordinator.Run(ctx, 1) })
	parts.Go(func() { _ = r.keeper.Run(ctx) })
	t.Cleanup(func() {
		stop()
		parts.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	log.Put(catalogtest.Destination(org, destID, bucket))
	return r
}

// Open implements Buckets.
func (r *rig) Open(_ context.Context, d *pb.Destination) (provider.Bucket, error) {
	return r.account.Bucket(d.Bucket), nil
}

// Publish implements scanner.Publisher.
func (r *rig) Publish(scanner.Progress) {}

// propose proposes a command, whose result may have rejections.
func (r *rig) propose(m proto.Message) *pb.Result {
	r.t.Helper()
	res, err := r.node.Propose(context.Background(), m)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

func (r *rig) backups(paths ...string) {
	r.t.Helper()
	r.log.PutBackups(org, destID, paths...)
}

func (r *rig) sync() *pb.Sync {
	r.t.Helper()
	return r.log.WaitSync(org, r.log.StartSync(org, destID))
}

// files returns each path of the shard and whether it is linked.
func (r *rig) files() map[string]bool {
	r.t.Helper()
	v, err := r.keeper.View(context.Background(), destID)
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Release()
	files := map[string]bool{}
	if _, _, err := v.Query(index.Query{}, func(e *index.Entry) bool {
		files[string(e.Path)] = e.Linked
		return true
	}); err != nil {
		r.t.Fatal(err)
	}
	return files
}
