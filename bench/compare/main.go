// Command compare measures firescan, its peers and what is ideal on one synthetic
// bucket, side by side in one run, and writes what it found into bench/RESULTS.md.
// Each measured program is a process of its own; so is the bucket's server.
//
// A wrong answer is an error: counts and sums are held against those of the bucket.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"firescan/bench/bucketserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	// The two readers of our own run as processes of this same program.
	if len(args) > 0 && args[0] == readerCommand {
		return runReader(ctx, args[1:])
	}
	c, err := parse(args)
	if err != nil {
		return err
	}
	return newBench(c).run(ctx)
}

type config struct {
	firescan string
	out      string
	cache    string
	only     list
	scenes   list
	layouts  list
	latency  durations
	keys     uint64
	bigKeys  uint64
	records  uint64
	rate     int
	duration time.Duration
	streams  int
	check    bool
	serve    string

	sizes           counts
	clusterLayouts  list
	clusterLatency  time.Duration
	scanStreams     int
	kills           uint
	failoverLatency time.Duration
}

// scenes are the scenarios in the order in which they run.
var scenes = []string{"list", "big", "import", "cluster"}

func parse(args []string) (*config, error) {
	c := &config{
		only: nil, scenes: slices.Clone(scenes), layouts: list{"flat", "tree", "skewed"},
		latency: durations{0, 50 * time.Millisecond}, sizes: counts{1, 3, 5}, clusterLayouts: list{"flat", "tree"},
	}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.StringVar(&c.firescan, "firescan", "bin/firescan", "the program to measure")
	f.StringVar(&c.out, "out", "bench/RESULTS.md", "file whose sections are replaced by what was measured; - prints them")
	f.StringVar(&c.cache, "cache", "bench/.cache", "where peers are built and data directories are made")
	f.Var(&c.only, "only", "measure only these, of "+strings.Join(whos(), ",")+" (default: all)")
	f.Var(&c.scenes, "scenarios", "what to measure: list (peers side by side), big (one large scan, then queries), import, cluster (scale-out and failover)")
	f.Var(&c.layouts, "layouts", "layouts of the list scenario")
	f.Var(&c.latency, "latency", "latencies a page of the list scenario")
	f.Uint64Var(&c.keys, "keys", 1_000_000, "objects of the list and cluster scenarios")
	f.Uint64Var(&c.bigKeys, "big-keys", 10_000_000, "objects of the big scenario")
	f.Uint64Var(&c.records, "records", 1_000_000, "backup records of the import scenario")
	f.IntVar(&c.rate, "rate", 2000, "queries a second")
	f.DurationVar(&c.duration, "duration", 10*time.Second, "how long each query is asked at that rate")
	f.IntVar(&c.streams, "streams", 64, "streams of the readers that know all ranges, where pages have a latency")
	f.BoolVar(&c.check, "check-files", true, "read all files back from firescan after the scans and compare their digest")
	f.StringVar(&c.serve, "serve-flags", "", "more flags for firescan serve, separated by blanks")
	f.Var(&c.sizes, "cluster-sizes", "numbers of nodes whose scans are compared; empty is none")
	f.Var(&c.clusterLayouts, "cluster-layouts", "layouts that clusters scan; nodes are killed over the first one")
	f.DurationVar(&c.clusterLatency, "cluster-latency", 50*time.Millisecond, "latency a page where scans of clusters are compared")
	f.IntVar(&c.scanStreams, "scan-streams", 4, "list requests that each node of a cluster has under way: so few that its cores are not the bound")
	f.UintVar(&c.kills, "kills", 5, "how often the leader, and as often another node, is killed in mid-scan; 0 is not at all")
	f.DurationVar(&c.failoverLatency, "failover-latency", 150*time.Millisecond, "latency a page where nodes are killed: long enough for a scan to outlast an election")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: everything is a flag, see -help", f.Arg(0))
	}
	for _, set := range []struct {
		flag         string
		given, known []string
	}{
		{"only", c.only, whos()},
		{"scenarios", c.scenes, scenes},
		{"layouts", c.layouts, []string{"flat", "tree", "skewed"}},
		{"cluster-layouts", c.clusterLayouts, []string{"flat", "tree", "skewed"}},
	} {
		for _, g := range set.given {
			if !slices.Contains(set.known, g) {
				return nil, fmt.Errorf("-%s %s: use some of %s", set.flag, g, strings.Join(set.known, ","))
			}
		}
	}
	return c, nil
}

// bench is one run of the command.
type bench struct {
	config
	log    *slog.Logger
	report *report
	self   string // this program
	server string // the bucket server's program
}

// The catalog that every scenario uses.
const (
	orphanShare  = 0.1
	missingShare = 0.001
)

func newBench(c *config) *bench {
	return &bench{config: *c, log: slog.New(slog.NewTextHandler(os.Stderr, nil)), report: new(report)}
}

func (b *bench) wants(who string) bool { return len(b.only) == 0 || slices.Contains(b.only, who) }

func (b *bench) run(ctx context.Context) error {
	var err error
	if b.cache, err = filepath.Abs(b.cache); err != nil {
		return err
	}
	if b.firescan, err = filepath.Abs(b.firescan); err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if err := b.install(ctx); err != nil {
		return err
	}
	for _, scene := range scenes {
		if !slices.Contains(b.scenes, scene) {
			continue
		}
		b.log.Info("scenario", "name", scene)
		switch scene {
		case "list":
			err = b.listScene(ctx)
		case "big":
			err = b.bigScene(ctx)
		case "import":
			err = b.importScene(ctx)
		case "cluster":
			err = b.clusterScene(ctx)
		}
		if err != nil {
			return fmt.Errorf("scenario %s: %w", scene, err)
		}
	}
	return b.report.write(b.out)
}

// bucket is a synthetic bucket with its server and the right answer about it.
type bucket struct {
	keys   *bucketserver.Keys
	want   *bucketserver.Expected
	server *server
}

func (b *bench) newBucket(ctx context.Context, layout bucketserver.Layout, n uint64, latency time.Duration) (*bucket, error) {
	keys, err := bucketserver.NewKeys(layout, n)
	if err != nil {
		return nil, err
	}
	want, err := keys.Expect(catalog("", n))
	if err != nil {
		return nil, err
	}
	s, err := startServer(ctx, b.server, layout, n, latency)
	if err != nil {
		return nil, err
	}
	return &bucket{keys: keys, want: want, server: s}, nil
}

// catalog is the catalog of a bucket of n keys: a record for most of the backups up to a
// million keys. Beyond that the records stay about a third of a million, so that what
// grows is the bucket, and the rest are orphans.
func catalog(storageID string, n uint64) bucketserver.Catalog {
	orphans := orphanShare
	if n > plentyKeys {
		orphans = 1 - (1-orphans)*plentyKeys/float64(n)
	}
	return bucketserver.Catalog{StorageID: storageID, Orphans: orphans, Missing: missingShare}
}

// plentyKeys is up to how many keys the catalog grows with the bucket.
const plentyKeys = 1_000_000
