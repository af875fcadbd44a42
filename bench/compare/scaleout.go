package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"firescan/bench/bucketserver"
)

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
func (b *bench) clusterScene(ctx context.Context) error {
	if !b.wants("firescan") {
		return nil
	}
	var scans []clusterScan
	for _, layout := range b.clusterLayouts {
		if len(b.sizes) == 0 {
			break
		}
		bk, err := b.newBucket(ctx, bucketserver.Layout(layout), b.keys, b.clusterLatency)
		if err != nil {
			return err
		}
		for _, size := range b.sizes {
			more, err := b.scanTogether(ctx, bk, size)
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
		if err := b.report.write(b.out); err != nil {
			return err
		}
	}
	if b.kills == 0 {
		return nil
	}
	return b.failover(ctx)
}

// scanTogether measures a first and a second scan of a fresh cluster that has the records.
func (b *bench) scanTogether(ctx context.Context, bk *bucket, size int) (scans []clusterScan, err error) {
	g, dest, err := b.fedGroup(ctx, bk, size)
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
	if b.check {
		if _, err = g.nodes[0].checkFiles(ctx, dest, bk.want); err != nil {
			return nil, err
		}
	}
	return scans, nil
}

// fedGroup starts a cluster that has the bucket's records, on all its nodes.
func (b *bench) fedGroup(ctx context.Context, bk *bucket, size int) (g *group, dest string, err error) {
	b.log.Info("starting a cluster", "nodes", size, "layout", bk.keys.Layout())
	if g, err = b.startGroup(ctx, size); err != nil {
		return nil, "", err
	}
	n := g.nodes[0]
	if dest, err = n.connect(ctx, bk.server.endpoint); err == nil {
		_, err = n.importRecords(ctx, bk.keys, catalog(dest, bk.keys.Len()), bk.want.Records())
	}
	if err == nil {
		err = g.level(ctx)
	}
	if err != nil {
		g.stop(err)
		return nil, "", err
	}
	return g, dest, nil
}

func (b *bench) clusterScan(ctx context.Context, g *group, bk *bucket, dest string) (c clusterScan, err error) {
	n := g.nodes[0]
	before, err := bk.server.tally(ctx)
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
	go func() { listed <- bk.server.lastList(watching) }()

	id, err := n.begin(ctx, dest)
	if err != nil {
		return c, err
	}
	s, err := n.finish(ctx, id)
	if err != nil {
		return c, err
	}
	whole, err := g.replicated(ctx, dest)
	if err != nil {
		return c, err
	}
	stop()
	c = clusterScan{layout: bk.keys.Layout(), nodes: len(g.nodes), files: bk.want.Digest.Files}
	if c.cpu, err = cpu(); err != nil {
		return c, err
	}
	after, err := bk.server.tally(ctx)
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

// copied is how much of other nodes' segments each node has fetched so far, in bytes.
func (g *group) copied(ctx context.Context) (all []uint64, err error) {
	for _, n := range g.nodes {
		m, err := n.metrics(ctx)
		if err != nil {
			return nil, err
		}
		bytes, ok := m.sum("firescan_replica_bytes_total")
		if !ok {
			return nil, fmt.Errorf("node %s does not tell how much it has copied", n.id)
		}
		all = append(all, uint64(bytes))
	}
	return all, nil
}

// segmentBytes is the size of the segments that a sync has left on the nodes of a cluster,
// each counted once.
func segmentBytes(dir, sync string) (total uint64, err error) {
	_, ulid, _ := strings.Cut(sync, "_")
	seen := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // what is not needed any more is removed meanwhile
			return nil
		case err != nil:
			return err
		case filepath.Ext(name) != ".seg" || !strings.Contains(name, ulid) || seen[name]:
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			seen[name] = true
			total += uint64(info.Size())
		}
		return err
	})
	if err == nil && total == 0 {
		err = fmt.Errorf("sync %s has left no segment file", sync)
	}
	return total, err
}
