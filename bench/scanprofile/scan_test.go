// Package scanprofile profiles a scan in one process, without cluster and API:
// go test -bench . ./bench/scanprofile -cpuprofile cpu.out
package scanprofile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/s3"
	"firescan/replica"
	"firescan/scanner"
)

var (
	layout  = flag.String("layout", "flat", "layout of the bucket")
	keys    = flag.String("keys", "1000000", "number of keys")
	profile = flag.String("scanprofile", "", "file for the CPU profile of the scans alone")
	latency = flag.String("latency", "50ms", "latency per page")
)

type quiet struct{}

func (quiet) Publish(scanner.Progress) {}

type buckets struct{ b provider.Bucket }

func (b buckets) Open(context.Context, *pb.Destination) (provider.Bucket, error) { return b.b, nil }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func BenchmarkScan(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "bucketserver")
	if out, err := exec.Command("go", "build", "-o", bin, "firescan/bench/cmd/bucketserver").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	server := exec.Command(bin, "-layout", *layout, "-keys", *keys, "-latency", *latency)
	out := must(server.StdoutPipe())(b)
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	line := must(bufio.NewReader(out).ReadString('\n'))(b)
	_, address, _ := strings.Cut(line, "http://")
	url := "http://" + strings.TrimSpace(address)

	dir := b.TempDir()
	registry := prometheus.NewRegistry()
	log := catalogtest.New(b, catalog.Options{Logger: slog.Default(), Registerer: registry}, "n")
	l := log.Node("n")
	cat := l.Catalog
	propose := func(m proto.Message) { b.Helper(); log.Must(m) }
	propose(&pb.PutDestination{Create: true, Destination: &pb.Destination{
		Org: "org", Id: "storage_bench", Name: "b", Type: catalog.TypeS3, Bucket: "bench-bucket", Path: "", Endpoint: url, Verified: true,
	}})
	records := must(exec.Command(bin, "-layout", *layout, "-keys", *keys, "-catalog-ndjson").Output())(b)
	start := time.Now()
	cmd := &pb.PutRecords{Org: "org"}
	n := 0
	for line := range bytes.Lines(records) {
		var r struct {
			Kind, ID, StorageID, StoragePath string
			Size                             int64
			Files                            []string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			b.Fatal(err)
		}
		if r.Kind != "backup" {
			continue
		}
		bk := &pb.Backup{Org: "org", Id: r.ID, StorageId: "storage_bench", Status: "completed", Size: r.Size, StoragePath: []byte(r.StoragePath)}
		for _, f := range r.Files {
			bk.Files = append(bk.Files, []byte(f))
		}
		cmd.Records = append(cmd.Records, &pb.Record{Kind: &pb.Record_Backup{Backup: bk}})
		if n++; len(cmd.Records) == 1000 {
			propose(cmd)
			cmd.Records = nil
		}
	}
	propose(cmd)
	b.Logf("imported %d records in %v", n, time.Since(start))

	store := must(index.Open(filepath.Join(dir, "index"), index.Options{Logger: slog.Default(), Registerer: registry}))(b)
	defer store.Close()
	egress := must(provider.NewEgress(provider.EgressConfig{Allow: []string{"127.0.0.1:*"}}))(b)
	account := must(s3.New(s3.Config{Endpoint: url, AccessKeyID: "a", SecretAccessKey: "b", PathStyle: true, HTTPClient: egress.HTTPClient()}))(b)
	metrics := must(provider.NewMetrics(registry))(b)
	bucket := provider.Compose(account.Bucket("bench-bucket"), "S3", provider.NewLimiter(provider.CeilingS3), metrics, provider.RetryOptions{}, provider.NewSerialMemory(provider.MaxSerialMemory))
	keeper := replica.New(replica.Config{Catalog: cat, Index: store, Proposer: l, Logger: slog.Default()})
	worker := scanner.NewWorker(scanner.WorkerConfig{
		Node: "n", Catalog: cat, Index: store, Streams: 64, Proposer: l, Buckets: buckets{bucket}, Logger: slog.Default(),
	})
	coordinator := scanner.NewCoordinator(scanner.CoordinatorConfig{
		Catalog: cat, Proposer: l, Buckets: buckets{bucket}, Shards: keeper, Publisher: quiet{},
		Peers: scanner.Alone{Worker: worker}, Logger: slog.New(slog.DiscardHandler), Registerer: registry,
	})
	ctx, stop := context.WithCancel(b.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = worker.Run(ctx) })
	done.Go(func() { _ = coordinator.Run(ctx, 1) })
	defer done.Wait()
	defer stop()
	if *profile != "" {
		f := must(os.Create(*profile))(b)
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			b.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	for b.Loop() {
		before := cpu()
		id := catalog.NewID(catalog.KindSync)
		at := time.Now()
		propose(&pb.StartSync{Org: "org", DestinationId: "storage_bench", SyncId: id, At: at.UnixMilli()})
		var s *pb.Sync
		for s == nil || s.FinishedAt == 0 {
			changed := cat.Changed()
			_ = cat.View(func(tx *catalog.Tx) (err error) { s, err = tx.Sync("org", id); return err })
			if s.FinishedAt == 0 {
				<-changed
			}
		}
		took := time.Since(at)
		if s.Status != "completed" {
			b.Fatal(s)
		}
		b.Logf("%s: %d files, %d orphans, %d missing, %d segments in %v, CPU %.3f µs per key", s.Status, s.FilesScanned, s.OrphanFiles, s.MissingBackups, s.Segments, took, float64((cpu()-before).Microseconds())/float64(s.FilesScanned))
		b.StopTimer()
		must(keeper.View(ctx, "storage_bench"))(b).Release()
		b.StartTimer()
	}
}
