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
	undisturbed = 3
	// stuck is how long a scan may take before it counts as one that does not end.
	stuck = 3 * time.Minute
)

// disturbed is a scan in the course of which a node was killed, or none was.
type disturbed struct {
	victim string // nobody, leader, worker
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
	if len(b.clusterLayouts) > 0 {
		layout = bucketserver.Layout(b.clusterLayouts[0])
	}
	bk, err := b.newBucket(ctx, layout, b.keys, b.failoverLatency)
	if err != nil {
		return err
	}
	defer bk.server.daemon.stop()
	g, dest, err := b.fedGroup(ctx, bk, failoverNodes)
	if err != nil {
		return err
	}
	defer func() { g.stop(err) }()
	scans, err := b.disturb(ctx, g, bk, dest)
	if err != nil {
		return fmt.Errorf("failover (the nodes' logs are in %s): %w", g.dir, err)
	}
	b.reportFailover(layout, bk.want.Digest.Files, scans)
	return b.report.write(b.out)
}

func (b *bench) disturb(ctx context.Context, g *group, bk *bucket, dest string) (scans []disturbed, err error) {
	var right bucketserver.Digest // of the orphans, by a scan in peace
	kills := int(b.kills)
	for i := range 1 + undisturbed + 2*kills {
		victim, at := "nobody", 0.0
		if round := i - 1 - undisturbed; round >= 0 {
			victim = []string{"leader", "worker"}[round%2]
			at = spot(round/2, kills)
		}
		d, orphans, err := b.kill(ctx, g, bk, dest, victim, at)
		if err != nil {
			return nil, fmt.Errorf("scan %d, of which %s was killed at %.0f %% of the keys: %w", i+1, victim, 100*at, err)
		}
		if i == 0 { // the first scan does not know the bucket yet, and is no measure for the others
			right = orphans
			continue
		}
		if orphans != right {
			return nil, fmt.Errorf("wrong answer: scan %d, of which %s was killed, calls other files orphans than one in peace", i+1, victim)
		}
		b.log.Info("scanned", "killed", victim, "at", at, "writable", d.writable, "took", d.took, "keys", d.keys)
		scans = append(scans, d)
	}
	return scans, nil
}

// spot spreads n kills over the scan, as shares of the bucket's keys.
func spot(i, n int) float64 { return 0.15 + 0.6*(float64(i)+0.5)/float64(n) }

// kill starts a scan, kills a node when the bucket's server has sent a share of the keys,
// and waits for the end. All nodes run again afterwards.
func (b *bench) kill(ctx context.Context, g *group, bk *bucket, dest, victim string, at float64) (d disturbed, orphans bucketserver.Digest, err error) {
	leader, err := g.leader(ctx)
	if err != nil {
		return d, orphans, err
	}
	var dies *node
	switch victim {
	case "leader":
		dies = leader
	case "worker":
		dies = g.others(leader)[0]
	}
	alive := g.others(dies)
	before, err := bk.server.tally(ctx)
	if err != nil {
		return d, orphans, err
	}
	patient, cancel := context.WithTimeoutCause(ctx, stuck, errors.New("the scan does not come to an end"))
	defer cancel()
	id, err := alive[0].begin(ctx, dest)
	if err != nil {
		return d, orphans, err
	}
	d.victim, d.at = victim, at
	if dies != nil {
		if err := bk.server.served(patient, before.keys+uint64(at*float64(bk.want.Digest.Files))); err != nil {
			return d, orphans, err
		}
		killed := time.Now()
		dies.daemon.kill()
		if err := written(patient, alive); err != nil {
			return d, orphans, err
		}
		d.writable = time.Since(killed)
	}
	s, err := alive[0].finish(patient, id)
	if err != nil {
		return d, orphans, err
	}
	if d.took, err = s.took(); err != nil {
		return d, orphans, err
	}
	after, err := bk.server.tally(ctx)
	if err != nil {
		return d, orphans, err
	}
	d.keys = after.since(before).keys
	if orphans, err = check(ctx, alive[0], bk, dest, s); err != nil {
		return d, orphans, err
	}
	if dies != nil {
		if err := dies.start(); err != nil {
			return d, orphans, err
		}
	}
	if err := g.complete(ctx); err != nil {
		return d, orphans, err
	}
	_, err = g.replicated(ctx, dest)
	return d, orphans, err
}

// check holds all that a node tells of a scan against the right answer, and answers the
// digest of the orphans.
func check(ctx context.Context, n *node, bk *bucket, dest string, s syncState) (orphans bucketserver.Digest, err error) {
	if err := checkSync(s, bk.want); err != nil {
		return orphans, err
	}
	if err := n.checkStats(ctx, dest, bk.want); err != nil {
		return orphans, err
	}
	return n.checkFiles(ctx, dest, bk.want)
}

// written waits until one of the nodes has answered a write. All are asked at once, as by
// clients that know nothing of leaders.
func written(ctx context.Context, nodes []*node) error {
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
		case <-time.After(look):
		}
	}
}

// of are the scans of which that victim was killed.
func of(scans []disturbed, victim string) []disturbed {
	return slices.DeleteFunc(slices.Clone(scans), func(d disturbed) bool { return d.victim != victim })
}
