package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"firescan/bench/bucketserver"
)

// page is how many keys a provider lists at most in one page.
const page = 1000

// clusterScan is one scan of a cluster, as it was measured.
type clusterScan struct {
	layout bucketserver.Layout
	nodes  int
	which  string // first or second
	files  uint64
	// wall is from startedAt to finishedAt, listing until the last list was answered.
	wall, listing time.Duration
	lists         uint64
	// cpu is that of all nodes, server that of the bucket's.
	cpu, server time.Duration
	// copied are the bytes of segments that each node fetched from others; index is the size
	// of all segments, each counted once.
	copied []uint64
	index  uint64
	// whole is how long after the promotion all copies were seen to be whole.
	whole time.Duration
}

// clusterScene compares clusters of several sizes, then kills nodes of one.
func (b *bench) clusterScenario(ctx context.Context) error {
	if !b.wants("firescan") {
		return nil
	}
	var scans []clusterScan
	for _, layout := range b.config.clusterLayouts {
		if len(b.config.sizes) == 0 {
			break
		}
		bk, err := b.newBucket(ctx, bucketserver.Layout(layout), b.config.keys, b.config.clusterLatency)
		if err != nil {
			return err
		}
		for _, size := range b.config.sizes {
			more, err := b.scanCluster(ctx, bk, size)
			if err != nil {
				bk.server.daemon.stop()
				return fmt.Errorf("%s layout, %d nodes: %w", layout, size, err)
			}
			scans = append(scans, more...)
		}
		bk.server.daemon.stop()
	}
	if len(scans) > 0 {
		b.reportScaleOut(scans)
		if err := b.report.write(b.config.out); err != nil {
			return err
		}
	}
	if b.config.kills == 0 {
		return nil
	}
	return b.failover(ctx)
}

// scanTogether measures a first and a second scan of a fresh cluster that has the records.
func (b *bench) scanCluster(ctx context.Context, bk *bucket, size int) (scans []clusterScan, err error) {
	g, dest, err := b.startLoadedCluster(ctx, bk, size)
	if err != nil {
		return nil, err
	}
	defer func() { g.stop(err) }()
	for _, which := range []string{"first", "second"} {
		s, err := b.clusterScan(ctx, g, bk, dest)
		if err != nil {
			return nil, fmt.Errorf("%s scan (the nodes' logs are in %s): %w", which, g.dir, err)
		}
		s.which = which
		scans = append(scans, s)
	}
	if b.config.check {
		if _, err = g.nodes[0].checkFiles(ctx, dest, bk.want); err != nil {
			return nil, err
		}
	}
	return scans, nil
}

func (b *bench) clusterScan(ctx context.Context, g *cluster, bk *bucket, dest string) (c clusterScan, err error) {
	n := g.nodes[0]
	before, err := bk.server.counters(ctx)
	if err != nil {
		return c, err
	}
	copied, err := g.copied(ctx)
	if err != nil {
		return c, err
	}
	cpu, err := g.meters()
	if err != nil {
		return c, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	listed := make(chan time.Time, 1)
	go func() { listed <- bk.server.watchLastList(watching) }()

	id, err := n.startSync(ctx, dest)
	if err != nil {
		return c, err
	}
	s, err := n.waitSync(ctx, id)
	if err != nil {
		return c, err
	}
	whole, err := g.waitReplicated(ctx, dest)
	if err != nil {
		return c, err
	}
	stop()
	c = clusterScan{layout: bk.keys.Layout(), nodes: len(g.nodes), files: bk.want.Digest.Files}
	if c.cpu, err = cpu(); err != nil {
		return c, err
	}
	after, err := bk.server.counters(ctx)
	if err != nil {
		return c, err
	}
	t := after.since(before)
	c.lists, c.server = t.lists, t.cpu
	started, finished, err := s.times()
	if err != nil {
		return c, err
	}
	c.wall, c.listing, c.whole = finished.Sub(started), (<-listed).Sub(started), whole.Sub(finished)
	if c.copied, err = g.copied(ctx); err != nil {
		return c, err
	}
	for i := range copied {
		c.copied[i] -= copied[i]
	}
	if c.index, err = segmentBytes(g.dir, id); err != nil {
		return c, err
	}
	b.log.Info("scanned", "nodes", c.nodes, "layout", c.layout, "wall", c.wall, "listing", c.listing, "lists", c.lists, "cpu", c.cpu)
	if err := checkSync(s, bk.want); err != nil {
		return c, err
	}
	return c, n.checkStats(ctx, dest, bk.want)
}

func (b *bench) reportScaleOut(scans []clusterScan) {
	sizes := b.config.sizes.String()
	flags := fmt.Sprintf("-cluster-sizes %s -cluster-layouts %s -cluster-latency %v -scan-streams %d", sizes, b.config.clusterLayouts.String(), b.config.clusterLatency, b.config.scanStreams)
	commands := []string{
		b.rerun(flags), b.clusterCommand("N"),
		"POST /api/v1/storage/sync; startedAt to finishedAt; /proc/PID/stat of all nodes; GET /-/counts of the bucket's server",
	}
	t := scaleTable(scans)
	t.commands = commands
	right := "Counts of files, orphans and missing backups and all sums are right after each scan"
	if b.config.check {
		right += ", and all files that were read back after the second"
	}
	right += "."
	pages := (scans[0].files + page - 1) / page
	var bounds []string
	for _, n := range b.config.sizes {
		bounds = append(bounds, fmt.Sprintf("%v on %d", round(bound(pages, n*b.config.scanStreams, b.config.clusterLatency)), n))
	}
	b.report.add("cluster scale-out", fmt.Sprintf("Clusters scan %s keys, %v a page, %d streams a node", thousands(b.config.keys), b.config.clusterLatency, b.config.scanStreams), t,
		fmt.Sprintf("A list has %d keys at most, so the least is %s lists; their latency alone takes %s.", page, thousands(pages), strings.Join(bounds, ", ")),
		"*Listed* is when the bucket's server answered the last list, *promoted* when all nodes serve the result; speed-up is that of the latter over one node.",
		fmt.Sprintf("*Cores busy* are those that all nodes and the bucket's server took on average until all copies were whole, of %d.", runtime.NumCPU()),
		right)

	t = trafficTable(scans)
	t.commands = []string{b.rerun(flags), "GET /metrics of each node: firescan_replica_bytes_total, firescan_destination_replicas"}
	b.report.add("cluster replicas", fmt.Sprintf("Copies between nodes, %s keys", thousands(b.config.keys)), t,
		"A shard lies on three nodes, where there are as many. Each fetches the segments that others have listed, while the scan runs.",
		"*Index* is the size of all segments, each once. *Whole* is when all copies were seen to be, after the promotion.")
}

// bound is how long so many pages take on so many streams when only their latency counts.
func bound(pages uint64, streams int, latency time.Duration) time.Duration {
	return time.Duration((pages+uint64(streams)-1)/uint64(streams)) * latency
}

func scaleTable(scans []clusterScan) table {
	t := table{head: []string{"layout", "scan", "nodes", "listed", "promoted", "speed-up", "of ideal", "lists", "CPU of all nodes", "server's CPU", "cores busy"}}
	for _, which := range []string{"first", "second"} {
		for _, s := range scans {
			if s.which != which {
				continue
			}
			speed, ideal := "–", "–"
			if up, ok := speedUp(scans, s); ok {
				speed, ideal = fmt.Sprintf("%.2f", up), fmt.Sprintf("%.0f %%", 100*up/float64(s.nodes))
			}
			t.rows = append(t.rows, []string{
				string(s.layout), s.which, fmt.Sprint(s.nodes), round(s.listing).String(), round(s.wall).String(), speed, ideal, thousands(s.lists),
				round(s.cpu).String(), round(s.server).String(), fmt.Sprintf("%.1f", (s.cpu+s.server).Seconds()/(s.wall+max(0, s.whole)).Seconds()),
			})
		}
	}
	slices.SortStableFunc(t.rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return t
}

// speedUp is how much faster a scan was than the same on one node.
func speedUp(scans []clusterScan, s clusterScan) (float64, bool) {
	i := slices.IndexFunc(scans, func(o clusterScan) bool { return o.nodes == 1 && o.layout == s.layout && o.which == s.which })
	if i < 0 || s.wall <= 0 {
		return 0, false
	}
	return scans[i].wall.Seconds() / s.wall.Seconds(), true
}

func trafficTable(scans []clusterScan) table {
	t := table{head: []string{"layout", "scan", "nodes", "index", "copied in all", "bytes a file", "times the index", "by one node", "whole"}}
	for _, s := range scans {
		if s.nodes == 1 {
			continue
		}
		var all uint64
		for _, c := range s.copied {
			all += c
		}
		whole := "at the promotion"
		if s.whole > 2*pollInterval+20*time.Millisecond {
			whole = round(s.whole).String() + " later"
		}
		t.rows = append(t.rows, []string{
			string(s.layout), s.which, fmt.Sprint(s.nodes), kib(s.index), kib(all), fmt.Sprintf("%.1f", float64(all)/float64(s.files)),
			fmt.Sprintf("%.2f", float64(all)/float64(s.index)), kib(slices.Min(s.copied)) + " to " + kib(slices.Max(s.copied)), whole,
		})
	}
	return t
}
