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
	// failoverNodes is the least that goes on when one dies.
	failoverNodes = 3
	// undisturbed is how many scans are measured of which nothing is killed.
	baselineScans = 3
	// stuck is how long a scan may take before it counts as one that does not end.
	scanTimeout = 3 * time.Minute
)

// disturbed is a scan in the course of which a node was killed, or none was.
type failoverScan struct {
	killed string // nobody, leader, worker
	at     float64
	// writable is how long after the kill another node has answered a write.
	writable time.Duration
	took     time.Duration
	keys     uint64 // that the bucket's server has sent
}

// failover kills the leader in mid-scan, then a node that does not lead, each in several
// scans, and compares the time and the result with those of scans in peace.
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
	var right bucketserver.Digest // of the orphans, by a scan in peace
	kills := int(b.config.kills)
	for i := range 1 + baselineScans + 2*kills {
		killed, at := "nobody", 0.0
		if round := i - 1 - baselineScans; round >= 0 {
			killed = []string{"leader", "worker"}[round%2]
			at = killPoint(round/2, kills)
		}
		d, orphans, err := b.scanWithKill(ctx, g, bk, dest, killed, at)
		if err != nil {
			return nil, fmt.Errorf("scan %d, of which %s was killed at %.0f %% of the keys: %w", i+1, killed, 100*at, err)
		}
		if i == 0 { // the first scan does not know the bucket yet, and is no measure for the others
			right = orphans
			continue
		}
		if orphans != right {
			return nil, fmt.Errorf("wrong answer: scan %d, of which %s was killed, calls other files orphans than one in peace", i+1, killed)
		}
		b.log.Info("scanned", "killed", killed, "at", at, "writable", d.writable, "took", d.took, "keys", d.keys)
		scans = append(scans, d)
	}
	return scans, nil
}

// spot spreads n kills over the scan, as shares of the bucket's keys.
func killPoint(i, n int) float64 { return 0.15 + 0.6*(float64(i)+0.5)/float64(n) }

// kill starts a scan, kills a node when the bucket's server has sent a share of the keys,
// and waits for the end. All nodes run again afterwards.
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
	patient, cancel := context.WithTimeoutCause(ctx, scanTimeout, errors.New("the scan does not come to an end"))
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
		killed := time.Now()
		target.daemon.kill()
		if err := waitWritable(patient, alive); err != nil {
			return d, orphans, err
		}
		d.writable = time.Since(killed)
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

// written waits until one of the nodes has answered a write. All are asked at once, as by
// clients that know nothing of leaders.
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
	return fmt.Errorf("no node takes a write: %w", errors.Join(errs...))
}

// write asks a node to write until it answers that it has.
func (n *node) write(ctx context.Context) error {
	for i := 0; ; i++ {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := n.service.call(try, http.MethodPut, "/api/v1/catalog/projects/proj_alive", map[string]string{
			"id": "proj_alive", "name": fmt.Sprintf("Written %d to %s", i, n.id),
		}, nil)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(pollInterval):
		}
	}
}

// of are the scans of which that victim was killed.
func killedScans(scans []failoverScan, killed string) []failoverScan {
	return slices.DeleteFunc(slices.Clone(scans), func(d failoverScan) bool { return d.killed != killed })
}

func (b *bench) reportFailover(layout bucketserver.Layout, files uint64, scans []failoverScan) {
	t := failoverTable(files, scans)
	t.commands = []string{
		b.rerun(fmt.Sprintf("-cluster-sizes \"\" -cluster-layouts %s -kills %d -failover-latency %v -scan-streams %d", layout, b.config.kills, b.config.failoverLatency, b.config.scanStreams)),
		b.clusterCommand(fmt.Sprint(failoverNodes)),
		"kill -9; PUT /api/v1/catalog/projects/proj_alive to the other nodes at once, until one answers 200",
	}
	b.report.add("cluster failover", fmt.Sprintf("Nodes killed in mid-scan: %d nodes, %s keys, %s layout, %v a page", failoverNodes, thousands(b.config.keys), layout, b.config.failoverLatency), t,
		fmt.Sprintf("Median and most. A node was killed when from %.0f to %.0f %% of the keys were listed, and started again after the scan.", 100*killPoint(0, int(b.config.kills)), 100*killPoint(int(b.config.kills)-1, int(b.config.kills))),
		"*Sent again* is what the bucket's server sent beyond what it sent for the median of the scans in peace, as a share of the bucket's keys: what was lost with the node, and the ends of pages that reach over where ranges were parted anew.",
		"After each scan all files were read back: path, size, time and link of each are those of a scan in peace.")
}

func failoverTable(files uint64, scans []failoverScan) table {
	t := table{head: []string{"killed", "scans", "a write is answered after", "start to promotion", "longer than in peace", "sent again"}}
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
		answered, longer := "", ""
		if killed != "nobody" {
			answered = writable.spread(0)
			longer = took.spread(baseline.quantile(0.5))
		}
		t.rows = append(t.rows, []string{
			killed, fmt.Sprint(len(took)), answered, took.spread(0), longer,
			fmt.Sprintf("%.1f %%, %.1f %%", again[len(again)/2], again[len(again)-1]),
		})
	}
	return t
}
