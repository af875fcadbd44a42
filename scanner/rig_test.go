package scanner

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
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

// rig is a scanner on a real catalog and a real index, with a bucket in memory and
// a log of one member that applies at once.
type rig struct {
	t       testing.TB
	dir     string
	account *mem.Account
	streams int

	catalog     *catalog.Catalog
	index       *index.Store
	keeper      *replica.Replicator
	worker      *Worker
	coordinator *Coordinator
	refuse      func(proto.Message) error // what the log refuses

	mu       sync.Mutex
	last     uint64
	progress []Progress
	stop     context.CancelFunc
	ended    sync.WaitGroup
}

// newRig makes a rig with one destination for the whole of the bucket; start sets
// it to work.
func newRig(t testing.TB, opts mem.Options) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), account: mem.New(opts, bucket), streams: 8}
	r.open()
	t.Cleanup(r.close)
	r.propose(&pb.PutDestination{Create: true, Destination: &pb.Destination{
		Org: org, Id: destID, Name: "Production", Type: catalog.TypeS3, Bucket: bucket, Verified: true, CreatedAt: 1,
	}})
	return r
}

func (r *rig) open() {
	var err error
	registry := prometheus.NewRegistry()
	if r.catalog, err = catalog.Open(filepath.Join(r.dir, "catalog.db"), catalog.Options{Logger: slog.New(slog.DiscardHandler), Registerer: registry}); err != nil {
		r.t.Fatal(err)
	}
	if r.index, err = index.Open(filepath.Join(r.dir, "index"), index.Options{Logger: slog.New(slog.DiscardHandler), Registerer: registry}); err != nil {
		r.t.Fatal(err)
	}
	r.last = r.catalog.AppliedIndex()
	logger := slog.New(slog.DiscardHandler)
	r.keeper = replica.New(replica.Config{Catalog: r.catalog, Index: r.index, Proposer: r, Logger: logger})
	r.worker = NewWorker(WorkerConfig{
		Node: "node1", Catalog: r.catalog, Index: r.index, Streams: r.streams, Proposer: r, Buckets: r, Logger: logger,
	})
	r.coordinator = NewCoordinator(CoordinatorConfig{
		Catalog: r.catalog, Index: r.index, Proposer: r, Buckets: r, Shards: r.keeper, Publisher: r,
		Peers: Alone{r.worker}, Logger: logger, Registerer: registry,
	})
}

func (r *rig) close() {
	r.halt()
	if err := r.index.Close(); err != nil {
		r.t.Error(err)
	}
	if err := r.catalog.Close(); err != nil {
		r.t.Error(err)
	}
}

// start runs the coordinator and the keeper until halt.
func (r *rig) start() {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.ended.Go(func() { _ = r.worker.Run(ctx) })
	r.ended.Go(func() { _ = r.coordinator.Run(ctx, 1) })
	r.ended.Go(func() { _ = r.keeper.Run(ctx) })
}

func (r *rig) halt() {
	if r.stop != nil {
		r.stop()
		r.ended.Wait()
		r.stop = nil
	}
}

// restart is what a crash and a new start of the node leave.
func (r *rig) restart() {
	r.close()
	r.open()
	r.start()
}

// Propose implements Proposer.
func (r *rig) Propose(ctx context.Context, m proto.Message) (*pb.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		if err := r.refuse(m); err != nil {
			return nil, err
		}
	}
	data, err := catalog.Encode(m)
	if err != nil {
		return nil, err
	}
	r.last++
	results, err := r.catalog.Apply([]catalog.Entry{{Index: r.last, Term: 1, Data: data}})
	if err != nil {
		return nil, err
	}
	return results[0], catalog.ResultError(results[0])
}

func (r *rig) propose(m proto.Message) *pb.Result {
	r.t.Helper()
	res, err := r.Propose(context.Background(), m)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
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

func (r *rig) backups(paths ...string) {
	cmd := &pb.PutRecords{Org: org}
	for i, p := range paths {
		cmd.Records = append(cmd.Records, &pb.Record{Kind: &pb.Record_Backup{Backup: &pb.Backup{
			Org: org, Id: fmt.Sprintf("bkp_%s_%d", p, i), StorageId: destID, Status: "completed", StoragePath: []byte(p), CreatedAt: 1,
		}}})
	}
	if res := r.propose(cmd); len(res.Rejected) > 0 {
		r.t.Fatalf("records were rejected: %v", res.Rejected)
	}
}

// sync starts a sync and waits for its end.
func (r *rig) sync() *pb.Sync {
	r.t.Helper()
	return r.wait(r.startSync())
}

func (r *rig) startSync() string {
	r.t.Helper()
	return r.propose(&pb.StartSync{Org: org, DestinationId: destID, SyncId: catalog.NewID(catalog.KindSync), At: time.Now().UnixMilli()}).SyncId
}

func (r *rig) wait(id string) *pb.Sync {
	r.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		changed := r.catalog.Changed()
		s := r.get(id)
		if s.FinishedAt != 0 {
			return s
		}
		select {
		case <-changed:
		case <-deadline:
			r.t.Fatalf("sync %s still is %s", id, s.Status)
		}
	}
}

func (r *rig) get(id string) (s *pb.Sync) {
	r.t.Helper()
	r.mu.Lock() // what is seen must have been answered to its proposer
	defer r.mu.Unlock()
	err := r.catalog.View(func(tx *catalog.Tx) (err error) {
		s, err = tx.Sync(org, id)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// files reads the shard: each path and whether it is linked.
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

func (r *rig) missing() (paths []string) {
	r.t.Helper()
	v, err := r.keeper.View(context.Background(), destID)
	if err != nil {
		r.t.Fatal(err)
	}
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
