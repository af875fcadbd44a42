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

// scenes are the scenarios in the order in which they run.
var scenarios = []string{"list", "big", "import", "cluster"}

func parse(args []string) (*config, error) {
	c := &config{
		only: nil, scenarios: slices.Clone(scenarios), layouts: list{"flat", "tree", "skewed"},
		latency: durations{0, 50 * time.Millisecond}, sizes: counts{1, 3, 5}, clusterLayouts: list{"flat", "tree"},
	}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.StringVar(&c.firescan, "firescan", "bin/firescan", "the program to measure")
	f.StringVar(&c.out, "out", "bench/RESULTS.md", "file whose sections are replaced by what was measured; - prints them")
	f.StringVar(&c.cache, "cache", "bench/.cache", "where peers are built and data directories are made")
	f.Var(&c.only, "only", "measure only these, of "+strings.Join(programNames(), ",")+" (default: all)")
	f.Var(&c.scenarios, "scenarios", "what to measure: list (peers side by side), big (one large scan, then queries), import, cluster (scale-out and failover)")
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
		{"only", c.only, programNames()},
		{"scenarios", c.scenarios, scenarios},
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
