package deletion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider"
)

// benchShards is an index of one node without replicas.
type benchShards struct{ store *index.Store }

// View implements Shards.
func (s benchShards) View(_ context.Context, destination string) (*index.View, error) {
	return s.store.View(destination)
}

// Open implements Buckets: a plan needs no bucket.
func (benchShards) Open(context.Context, *pb.Destination) (provider.Bucket, error) {
	return nil, errors.New("no bucket")
}

// BenchmarkPlan plans a cleanup in a bucket of PLAN_FILES files (1,000,000), of which a tenth
// are orphans, with 0.3 records for each file, of which PLAN_MISSING (1,000) are missing.
func BenchmarkPlan(b *testing.B) {
	number := func(name string, usual int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return usual
	}
	files, missing := number("PLAN_FILES", 1_000_000), number("PLAN_MISSING", 1000)
	dir, logger := b.TempDir(), slog.New(slog.DiscardHandler)
	c, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{Logger: logger})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	at := uint64(0)
	apply := func(commands ...proto.Message) {
		entries := make([]catalog.Entry, len(commands))
		for i, m := range commands {
			data, err := catalog.Encode(m)
			if err != nil {
				b.Fatal(err)
			}
			at++
			entries[i] = catalog.Entry{Index: at, Term: 1, Data: data}
		}
		if _, err := c.Apply(entries); err != nil {
			b.Fatal(err)
		}
	}
	d := catalogtest.Destination(org, destID, bucket)
	d.Revision = 1
	apply(&pb.PutDestination{Create: true, Destination: d})
	var commands []proto.Message
	for i := 0; i < files*3/10; i += 1000 {
		put := &pb.PutRecords{Org: org}
		for j := i; j < i+1000; j++ {
			put.Records = append(put.Records, catalogtest.Backup(org, destID, fmt.Sprintf("bkp_%09d", j), fmt.Sprintf("backups/production/bkp_%09d.backup", j)))
		}
		if commands = append(commands, put); len(commands) == 64 {
			apply(commands...)
			commands = nil
		}
	}
	apply(commands...)
	store, err := index.Open(filepath.Join(dir, "index"), index.Options{Logger: logger, Registerer: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	manifest := index.Manifest{Generation: "sync_1"}
	const perSegment = 250_000
	var start []byte
	for i := 0; i < files; i += perSegment {
		w, err := store.NewSegment(destID, fmt.Sprintf("seg_%d", i), start)
		if err != nil {
			b.Fatal(err)
		}
		for j := i; j < min(i+perSegment, files); j++ {
			e := index.Entry{Path: fmt.Appendf(nil, "backups/production/bkp_%09d.backup", j), Size: int64(j), ModTime: 1e12, Digest: uint64(j), Linked: j%10 != 0}
			if err := w.Add(&e); err != nil {
				b.Fatal(err)
			}
			if j < missing {
				if err := w.AddMissing(index.Missing{Org: []byte(org), BackupID: fmt.Appendf(nil, "bkp_%09d", j), Path: append(e.Path, "_lost"...)}); err != nil {
					b.Fatal(err)
				}
			}
		}
		if start = nil; i+perSegment < files {
			start = fmt.Appendf(nil, "backups/production/bkp_%09d.backup", i+perSegment)
		}
		info, err := w.Seal(start, 1)
		if err != nil {
			b.Fatal(err)
		}
		manifest.Segments = append(manifest.Segments, index.SegmentRef{ID: info.ID, Checksum: info.Checksum})
	}
	if err := store.Promote(destID, manifest); err != nil {
		b.Fatal(err)
	}
	deleter := New(Config{
		Node: "n", Boot: "1", Catalog: c, Buckets: benchShards{store}, Shards: benchShards{store},
		Logger: logger, Registerer: prometheus.NewRegistry(),
	})
	defer deleter.Close()
	req := CleanupRequest{Destination: d, Who: "tok_1", Types: recognized, Before: time.Now().UnixMilli()}
	for b.Loop() {
		p, err := deleter.Plan(context.Background(), req)
		if err != nil || p.Files == 0 {
			b.Fatal(p, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(files), "ns/file")
}
