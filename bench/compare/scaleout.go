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

// page is the maximum number of keys per list request.
const page = 1000

// clusterScan is the measurement of one scan of a cluster.
type clusterScan struct {
	layout bucketserver.Layout
	nodes  int
	which  string // first or second
	files  uint64
	// wall is the time from startedAt to finishedAt; listing ends with the last list.
	wall, listing time.Duration
	lists         uint64
	// cpu is the CPU time of all nodes; server that of the bucket server.
	cpu, server time.Duration
	// copied are the segment bytes that each node fetched; index is the size of all
	// segments, each counted once.
	copied []uint64
	index  uint64
	// whole is the time from the promotion until all replicas were complete.
	whole time.Duration
}

// clusterScenario compares clusters of several sizes, then measures failover.
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

// scanCluster measures the first and the second scan of a new cluster with the records.
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
		"POST /api/v1/storage/sync; startedAt to finishedAt; /proc/PID/stat of all nodes; GET /-/counts of the bucket server",
	}
	t := scaleTable(scans)
	t.commands = commands
	correct := "Counts of files, orphans and missing backups and all sums are correct after each scan"
	if b.config.check {
		correct += ", and so are all files, read after the second scan"
	}
	correct += "."
	pages := (scans[0].files + page - 1) / page
	var bounds []string
	for _, n := range b.config.sizes {
		bounds = append(bounds, fmt.Sprintf("%v on %d", round(bound(pages, n*b.config.scanStreams, b.config.clusterLatency)), n))
	}
	b.report.add("cluster scale-out", fmt.Sprintf("Cluster scans of %s keys, %v per page, %d streams per node", thousands(b.config.keys), b.config.clusterLatency, b.config.scanStreams), t,
		fmt.Sprintf("A list returns at most %d keys, so a scan takes at least %s lists. Their latency alone takes %s.", page, thousands(pages), strings.Join(bounds, ", ")),
		"*Listed* is the time of the last list response, *promoted* the time when all nodes serve the result. Speed-up compares *promoted* with one node.",
		fmt.Sprintf("*Cores busy* is the average number of cores, of %d, used by all nodes and the bucket server until all replicas were complete.", runtime.NumCPU()),
		correct)

	t = trafficTable(scans)
	t.commands = []string{b.rerun(flags), "GET /metrics of each node: firescan_replica_bytes_total, firescan_destination_replicas"}
	b.report.add("cluster replicas", fmt.Sprintf("Replication between nodes, %s keys", thousands(b.config.keys)), t,
		"A shard has up to three replicas. While the scan runs, each replica fetches the segments that other nodes have listed.",
		"*Index* is the size of all segments, each counted once. *Complete* is the time after the promotion until all replicas were complete.")
}

// bound returns the time that the latency of the pages alone takes.
func bound(pages uint64, streams int, latency time.Duration) time.Duration {
	return time.Duration((pages+uint64(streams)-1)/uint64(streams)) * latency
}

func scaleTable(scans []clusterScan) table {
	t := table{head: []string{"layout", "scan", "nodes", "listed", "promoted", "speed-up", "of ideal", "lists", "CPU of all nodes", "server CPU", "cores busy"}}
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

// speedUp returns the speed of a scan relative to the same scan on one node.
func speedUp(scans []clusterScan, s clusterScan) (float64, bool) {
	i := slices.IndexFunc(scans, func(o clusterScan) bool { return o.nodes == 1 && o.layout == s.layout && o.which == s.which })
	if i < 0 || s.wall <= 0 {
		return 0, false
	}
	return scans[i].wall.Seconds() / s.wall.Seconds(), true
}

func trafficTable(scans []clusterScan) table {
	t := table{head: []string{"layout", "scan", "nodes", "index", "copied in total", "bytes per file", "times the index", "per node", "complete"}}
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
