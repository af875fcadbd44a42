package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"firescan/bench/bucketserver"
)

const (
	// failoverNodes is the smallest cluster that survives a node failure.
	failoverNodes = 3
	// baselineScans is the number of scans without a kill.
	baselineScans = 3
	// scanTimeout is the maximum duration of a scan.
	scanTimeout = 3 * time.Minute
)

// failoverScan is the measurement of a scan during which a node was killed, or none.
type failoverScan struct {
	killed string // nobody, leader, worker
	at     float64
	// writable is the time from the kill until another node accepted a write.
	writable time.Duration
	took     time.Duration
	keys     uint64 // sent by the bucket server
}

// failover kills the leader and a follower in the middle of scans, and compares time and
// result with those of undisturbed scans.
func (b *bench) failover(ctx context.Context) (err error) {
	layout := bucketserver.Flat
	if len(b.config.clusterLayouts) > 0 {
		layout = bucketserver.Layout(b.config.clusterLayouts[0])
	}
	bk, err := b.newBucket(ctx, layout, b.config.keys, b.config.failoverLatency)
	if err != nil {
		return err
	}
	defer bk.server.daemon.stop()
	g, dest, err := b.startLoadedCluster(ctx, bk, failoverNodes)
	if err != nil {
		return err
	}
	defer func() { g.stop(err) }()
	scans, err := b.runFailoverScans(ctx, g, bk, dest)
	if err != nil {
		return fmt.Errorf("failover (the nodes' logs are in %s): %w", g.dir, err)
	}
	b.reportFailover(layout, bk.want.Digest.Files, scans)
	return b.report.write(b.config.out)
}

func (b *bench) runFailoverScans(ctx context.Context, g *cluster, bk *bucket, dest string) (scans []failoverScan, err error) {
	var correct bucketserver.Digest // of the orphans, by an undisturbed scan
	kills := int(b.config.kills)
	for i := range 1 + baselineScans + 2*kills {
		killed, at := "nobody", 0.0
		if round := i - 1 - baselineScans; round >= 0 {
			killed = []string{"leader", "worker"}[round%2]
			at = killPoint(round/2, kills)
		}
		d, orphans, err := b.scanWithKill(ctx, g, bk, dest, killed, at)
		if err != nil {
			return nil, fmt.Errorf("scan %d (killed: %s, at %.0f %% of the keys): %w", i+1, killed, 100*at, err)
		}
		if i == 0 { // a first scan has no key model yet and is not comparable
			correct = orphans
			continue
		}
		if orphans != correct {
			return nil, fmt.Errorf("wrong result: scan %d (killed: %s): orphans differ from an undisturbed scan", i+1, killed)
		}
		b.log.Info("scanned", "killed", killed, "at", at, "writable", d.writable, "took", d.took, "keys", d.keys)
		scans = append(scans, d)
	}
	return scans, nil
}

// killPoint returns the share of the keys after which kill i of n happens.
func killPoint(i, n int) float64 { return 0.15 + 0.6*(float64(i)+0.5)/float64(n) }

// scanWithKill starts a scan, kills a node when the bucket server has sent the given
// share of the keys, waits for the end of the scan and restarts the node.
func (b *bench) scanWithKill(ctx context.Context, g *cluster, bk *bucket, dest, killed string, at float64) (d failoverScan, orphans bucketserver.Digest, err error) {
	leader, err := g.leader(ctx)
	if err != nil {
		return d, orphans, err
	}
	var target *node
	switch killed {
	case "leader":
		target = leader
	case "worker":
		target = g.without(leader)[0]
	}
	alive := g.without(target)
	before, err := bk.server.counters(ctx)
	if err != nil {
		return d, orphans, err
	}
	patient, cancel := context.WithTimeoutCause(ctx, scanTimeout, errors.New("scan timeout"))
	defer cancel()
	id, err := alive[0].startSync(ctx, dest)
	if err != nil {
		return d, orphans, err
	}
	d.killed, d.at = killed, at
	if target != nil {
		if err := bk.server.waitKeysSent(patient, before.keys+uint64(at*float64(bk.want.Digest.Files))); err != nil {
			return d, orphans, err
		}
		killedAt := time.Now()
		target.daemon.kill()
		if err := waitWritable(patient, alive); err != nil {
			return d, orphans, err
		}
		d.writable = time.Since(killedAt)
	}
	s, err := alive[0].waitSync(patient, id)
	if err != nil {
		return d, orphans, err
	}
	if d.took, err = s.duration(); err != nil {
		return d, orphans, err
	}
	after, err := bk.server.counters(ctx)
	if err != nil {
		return d, orphans, err
	}
	d.keys = after.since(before).keys
	if orphans, err = checkScan(ctx, alive[0], bk, dest, s); err != nil {
		return d, orphans, err
	}
	if target != nil {
		if err := target.start(); err != nil {
			return d, orphans, err
		}
	}
	if err := g.waitVoters(ctx); err != nil {
		return d, orphans, err
	}
	_, err = g.waitReplicated(ctx, dest)
	return d, orphans, err
}

// waitWritable waits until one of the nodes accepts a write. It tries all of them in
// parallel.
func waitWritable(ctx context.Context, nodes []*node) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { done <- n.write(ctx) }()
	}
	var errs []error
	for range nodes {
		err := <-done
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("no node accepts writes: %w", errors.Join(errs...))
}

// write retries a write on a node until it succeeds. When ctx ends, the error is that of the
// last response.
func (n *node) write(ctx context.Context) error {
	var last error
	for i := 0; ; i++ {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := n.service.call(try, http.MethodPut, "/api/v1/catalog/projects/proj_alive", map[string]string{
			"id": "proj_alive", "name": fmt.Sprintf("Written %d to %s", i, n.id),
		}, nil)
		cancel()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(last, context.Cause(ctx))
		case <-time.After(pollInterval):
		}
	}
}

// killedScans returns the scans in which the given node was killed.
func killedScans(scans []failoverScan, killed string) []failoverScan {
	return slices.DeleteFunc(slices.Clone(scans), func(d failoverScan) bool { return d.killed != killed })
}

func (b *bench) reportFailover(layout bucketserver.Layout, files uint64, scans []failoverScan) {
	t := failoverTable(files, scans)
	t.commands = []string{
		b.rerun(fmt.Sprintf("-cluster-sizes \"\" -cluster-layouts %s -kills %d -failover-latency %v -scan-streams %d", layout, b.config.kills, b.config.failoverLatency, b.config.scanStreams)),
		b.clusterCommand(fmt.Sprint(failoverNodes)),
		"kill -9; PUT /api/v1/catalog/projects/proj_alive to all other nodes, until one returns 200",
	}
	b.report.add("cluster failover", fmt.Sprintf("Failover during a scan: %d nodes, %s keys, %s layout, %v per page", failoverNodes, thousands(b.config.keys), layout, b.config.failoverLatency), t,
		fmt.Sprintf("Median and maximum. A node was killed after %.0f to %.0f %% of the keys were listed, and restarted after the scan.", 100*killPoint(0, int(b.config.kills)), 100*killPoint(int(b.config.kills)-1, int(b.config.kills))),
		"*Listed again* is the number of keys sent by the bucket server beyond the median of the undisturbed scans, as a share of all keys: keys lost with the node, and parts of pages beyond the end of a range that was split again.",
		"All files were read after each scan: path, size, time and link of each equal those of an undisturbed scan.")
}

func failoverTable(files uint64, scans []failoverScan) table {
	t := table{head: []string{"killed", "scans", "writable after", "start to promotion", "longer than undisturbed", "listed again"}}
	var baseline latencies
	var sent []uint64
	for _, d := range killedScans(scans, "nobody") {
		baseline, sent = append(baseline, d.took), append(sent, d.keys)
	}
	slices.Sort(baseline)
	slices.Sort(sent)
	for _, killed := range []string{"nobody", "leader", "worker"} {
		var writable, took latencies
		var again []float64
		for _, d := range killedScans(scans, killed) {
			writable, took = append(writable, d.writable), append(took, d.took)
			again = append(again, 100*(float64(d.keys)-float64(sent[len(sent)/2]))/float64(files))
		}
		slices.Sort(writable)
		slices.Sort(took)
		slices.Sort(again)
		if len(took) == 0 {
			continue
		}
		writableAfter, longer := "", ""
		if killed != "nobody" {
			writableAfter = writable.spread(0)
			longer = took.spread(baseline.quantile(0.5))
		}
		t.rows = append(t.rows, []string{
			killed, fmt.Sprint(len(took)), writableAfter, took.spread(0), longer,
			fmt.Sprintf("%.1f %%, %.1f %%", again[len(again)/2], again[len(again)-1]),
		})
	}
	return t
}
