package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// cluster is a firescan cluster with one process per node.
type cluster struct {
	dir   string
	nodes []*node
}

// startCluster starts a cluster on new data directories, waits until all nodes are ready
// and voters, and creates the tokens.
func (b *bench) startCluster(ctx context.Context, size int) (_ *cluster, err error) {
	dir, err := os.MkdirTemp(b.config.cache, "cluster-")
	if err != nil {
		return nil, err
	}
	g := &cluster{dir: dir}
	defer func() {
		if err != nil {
			g.stop(err)
		}
	}()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600); err != nil {
		return nil, err
	}
	const each = 3
	ports, err := freePorts(each * size)
	if err != nil {
		return nil, err
	}
	var join []string
	for i := range size {
		join = append(join, ports[each*i+2])
	}
	for i := range size {
		id := "n" + strconv.Itoa(i+1)
		home := filepath.Join(dir, id)
		if err := os.Mkdir(home, 0o755); err != nil {
			return nil, err
		}
		flags := []string{"--cluster-secret-file", secretFile, "--bootstrap-expect", strconv.Itoa(size), "--scan-streams", strconv.Itoa(b.config.scanStreams)}
		if size > 1 {
			flags = append(flags, "--join", strings.Join(join, ","))
		}
		n := b.newNode(id, home, ports[each*i:each*(i+1)], flags...)
		if err := n.start(); err != nil {
			return nil, err
		}
		g.nodes = append(g.nodes, n)
	}
	if err := g.waitVoters(ctx); err != nil {
		return nil, err
	}
	return g, b.createTokens(ctx, g.nodes...)
}

// startLoadedCluster starts a cluster and waits until all nodes have applied the bucket's
// records.
func (b *bench) startLoadedCluster(ctx context.Context, bk *bucket, size int) (g *cluster, dest string, err error) {
	b.log.Info("starting a cluster", "nodes", size, "layout", bk.keys.Layout())
	if g, err = b.startCluster(ctx, size); err != nil {
		return nil, "", err
	}
	n := g.nodes[0]
	if dest, err = n.createDestination(ctx, bk.server.endpoint); err == nil {
		_, err = n.importRecords(ctx, bk.keys, catalog(dest, bk.keys.Len()), bk.want.Records())
	}
	if err == nil {
		err = g.waitApplied(ctx)
	}
	if err != nil {
		g.stop(err)
		return nil, "", err
	}
	return g, dest, nil
}

// clusterCommand returns the command that starts a node, for the report.
func (b *bench) clusterCommand(size string) string {
	return fmt.Sprintf("firescan serve --node-id n1 … --cluster-secret-file secret --bootstrap-expect %s --join 127.0.0.1:… --scan-streams %d", size, b.config.scanStreams)
}

// rerun returns the command that repeats a measurement, for the report.
func (b *bench) rerun(flags string) string {
	return fmt.Sprintf("make bench BENCH='-only firescan -scenarios cluster -keys %d %s'", b.config.keys, flags)
}

// waitVoters waits until every node is ready and sees all nodes as voters.
func (g *cluster) waitVoters(ctx context.Context) error {
	for _, n := range g.nodes {
		if err := n.waitReady(ctx); err != nil {
			return err
		}
		err := n.waitFor(ctx, "in a cluster with all voters alive", func(ctx context.Context) (bool, error) {
			m, err := n.metrics(ctx)
			voters, _ := m.sum("firescan_cluster_members", `vote="voter"`, `state="alive"`)
			return err == nil && int(voters) == len(g.nodes), err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waitApplied waits until all nodes have applied the log up to the index of the first
// node, so that a scan does not wait for earlier writes.
func (g *cluster) waitApplied(ctx context.Context) error {
	const applied = "firescan_catalog_applied_index"
	m, err := g.nodes[0].metrics(ctx)
	if err != nil {
		return err
	}
	index, _ := m.sum(applied)
	for _, n := range g.nodes {
		err := n.waitFor(ctx, fmt.Sprintf("at index %.0f", index), func(ctx context.Context) (bool, error) {
			m, err := n.metrics(ctx)
			at, _ := m.sum(applied)
			return err == nil && at >= index, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waitReplicated waits until the index of a destination's last sync has all its replicas,
// and returns the time.
func (g *cluster) waitReplicated(ctx context.Context, dest string) (time.Time, error) {
	n := g.nodes[0]
	err := n.waitFor(ctx, "in a cluster with all replicas", func(ctx context.Context) (bool, error) {
		m, err := n.metrics(ctx)
		if err != nil {
			return false, err
		}
		have, _ := m.sum("firescan_destination_replicas", `destination="`+dest+`"`)
		want, ok := m.sum("firescan_destination_replicas_wanted", `destination="`+dest+`"`)
		return ok && want > 0 && have >= want, nil
	})
	return time.Now(), err
}

// leader waits for a leader and returns it.
func (g *cluster) leader(ctx context.Context) (*node, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		for _, n := range g.nodes {
			m, err := n.metrics(ctx)
			if err != nil {
				return nil, err
			}
			if leads, _ := m.sum("firescan_cluster_leader"); leads == 1 {
				return n, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a leader: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// without returns the nodes except one.
func (g *cluster) without(not *node) (without []*node) {
	for _, n := range g.nodes {
		if n != not {
			without = append(without, n)
		}
	}
	return without
}

// meters returns a function that returns the CPU time of all nodes since this call.
func (g *cluster) meters() (func() (time.Duration, error), error) {
	var all []*meter
	for _, n := range g.nodes {
		m, err := n.meter()
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return func() (cpu time.Duration, err error) {
		for _, m := range all {
			u, err := m.read()
			if err != nil {
				return 0, err
			}
			cpu += u.cpu()
		}
		return cpu, nil
	}, nil
}

// copied returns the bytes of segments that each node has fetched from other nodes.
func (g *cluster) copied(ctx context.Context) (all []uint64, err error) {
	for _, n := range g.nodes {
		m, err := n.metrics(ctx)
		if err != nil {
			return nil, err
		}
		bytes, ok := m.sum("firescan_replica_bytes_total")
		if !ok {
			return nil, fmt.Errorf("node %s: no metric firescan_replica_bytes_total", n.id)
		}
		all = append(all, uint64(bytes))
	}
	return all, nil
}

// stop stops all nodes and removes their data, unless there was an error: then the data
// and the logs stay.
func (g *cluster) stop(err error) {
	var all sync.WaitGroup
	for _, n := range g.nodes {
		all.Go(n.daemon.stop)
	}
	all.Wait()
	if err == nil {
		_ = os.RemoveAll(g.dir)
	}
}

// segmentBytes returns the total size of the segments of a sync on the nodes of a
// cluster, counting each segment once.
func segmentBytes(dir, sync string) (total uint64, err error) {
	_, ulid, _ := strings.Cut(sync, "_")
	seen := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed concurrently by a node
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
		err = fmt.Errorf("sync %s: no segment file", sync)
	}
	return total, err
}
