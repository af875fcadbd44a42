package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

type config struct {
	firescan  string
	out       string
	cache     string
	only      list
	scenarios list
	layouts   list
	latency   durations
	keys      uint64
	bigKeys   uint64
	records   uint64
	rate      int
	duration  time.Duration
	streams   int
	check     bool
	serve     string

	sizes           counts
	clusterLayouts  list
	clusterLatency  time.Duration
	scanStreams     int
	kills           uint
	failoverLatency time.Duration
}

// scenarios are in the order in which they run.
var scenarios = []string{"list", "big", "import", "cluster"}

func parse(args []string) (*config, error) {
	c := &config{
		only: nil, scenarios: slices.Clone(scenarios), layouts: list{"flat", "tree", "skewed"},
		latency: durations{0, 50 * time.Millisecond}, sizes: counts{1, 3, 5}, clusterLayouts: list{"flat", "tree"},
	}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.StringVar(&c.firescan, "firescan", "bin/firescan", "firescan binary to measure")
	f.StringVar(&c.out, "out", "bench/RESULTS.md", "results file whose sections are replaced (- = print to standard output)")
	f.StringVar(&c.cache, "cache", "bench/.cache", "directory for peer binaries and data directories")
	f.Var(&c.only, "only", "comma-separated programs to measure, of "+strings.Join(programNames(), ",")+" (default all)")
	f.Var(&c.scenarios, "scenarios", "comma-separated scenarios: list (peers side by side), big (one large scan, then queries), import, cluster (scale-out and failover)")
	f.Var(&c.layouts, "layouts", "layouts of the list scenario")
	f.Var(&c.latency, "latency", "latencies per page of the list scenario")
	f.Uint64Var(&c.keys, "keys", 1_000_000, "number of objects in the list and cluster scenarios")
	f.Uint64Var(&c.bigKeys, "big-keys", 10_000_000, "number of objects in the big scenario")
	f.Uint64Var(&c.records, "records", 1_000_000, "approximate number of backup records in the import scenario")
	f.IntVar(&c.rate, "rate", 2000, "queries per second")
	f.DurationVar(&c.duration, "duration", 10*time.Second, "duration of the measurement of each query")
	f.IntVar(&c.streams, "streams", 64, "parallel streams of the ideal readers if pages have a latency")
	f.BoolVar(&c.check, "check-files", true, "read all files from firescan after the scans and compare their digest")
	f.StringVar(&c.serve, "serve-flags", "", "additional flags for firescan serve, separated by spaces")
	f.Var(&c.sizes, "cluster-sizes", "comma-separated cluster sizes of the scale-out comparison (empty = skip it)")
	f.Var(&c.clusterLayouts, "cluster-layouts", "layouts of the cluster scenario; failover uses the first one")
	f.DurationVar(&c.clusterLatency, "cluster-latency", 50*time.Millisecond, "latency per page of the scale-out comparison")
	f.IntVar(&c.scanStreams, "scan-streams", 4, "concurrent list requests of each cluster node, few enough that latency and not CPU limits the scan")
	f.UintVar(&c.kills, "kills", 5, "number of scans in which the leader is killed, and number in which another node is (0 = skip failover)")
	f.DurationVar(&c.failoverLatency, "failover-latency", 150*time.Millisecond, "latency per page of the failover scans, long enough for a scan to outlast an election")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: this command takes only flags, see -help", f.Arg(0))
	}
	for _, set := range []struct {
		flag         string
		given, known []string
	}{
		{"only", c.only, programNames()},
		{"scenarios", c.scenarios, scenarios},
		{"layouts", c.layouts, []string{"flat", "tree", "skewed"}},
		{"cluster-layouts", c.clusterLayouts, []string{"flat", "tree", "skewed"}},
	} {
		for _, g := range set.given {
			if !slices.Contains(set.known, g) {
				return nil, fmt.Errorf("-%s %s: use one or more of %s", set.flag, g, strings.Join(set.known, ","))
			}
		}
	}
	return c, nil
}
