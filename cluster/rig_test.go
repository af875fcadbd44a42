package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
	cpb "firescan/cluster/clusterpb"
)

// fast is the timing for tests: short, but long enough that nodes on a busy machine are not
// considered dead.
var fast = Timing{
	Heartbeat: busy(time.Second), Probe: busy(300 * time.Millisecond), Tick: 100 * time.Millisecond, Stable: busy(300 * time.Millisecond),
}

// busy returns a timeout that is longer by how many programs wait for each processor of this
// machine, at most sixfold: with the timeouts of an idle machine no leader would last.
func busy(timeout time.Duration) time.Duration {
	var load float64
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(text), &load)
	}
	return time.Duration(float64(timeout) * min(max(1, load/float64(runtime.NumCPU())), 6))
}

// rig is a cluster in one process, with a network that can be partitioned.
type rig struct {
	t      *testing.T
	dir    string
	secret []byte
	expect int
	// segment is the size of log files.
	segment int
	net     *network
	nodes   map[string]*node
	order   []string
}

// node is one member of a rig, which may be down.
type node struct {
	*Cluster
	rig     *rig
	id      string
	dir     string
	catalog *catalog.Catalog
	logged  *logBuffer
	change  func(*Config)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel() // most of the time is waiting
	// The directory is created first, so that it is removed last.
	r := &rig{t: t, dir: t.TempDir(), secret: bytes.Repeat([]byte("s"), 32), net: newNetwork(), nodes: map[string]*node{}}
	t.Cleanup(func() {
		var all sync.WaitGroup
		for _, n := range r.nodes {
			all.Go(n.kill)
		}
		all.Wait()
		if t.Failed() && testing.Verbose() {
			for _, id := range r.order {
				t.Logf("--- log of %s\n%s", id, r.nodes[id].logged)
			}
		}
	})
	return r
}

// cluster starts n nodes that form a cluster, and waits until all are ready.
func (r *rig) cluster(n int) []*node {
	r.t.Helper()
	r.expect = n
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = r.node(fmt.Sprint("n", i+1))
	}
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	return nodes
}

// node creates a node that is down.
func (r *rig) node(id string) *node {
	n := &node{rig: r, id: id, dir: filepath.Join(r.dir, id), logged: &logBuffer{}}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	r.nodes[id] = n
	r.order = append(r.order, id)
	return n
}

func (n *node) open() error {
	t := n.rig.t
	t.Helper()
	logger := slog.New(slog.NewTextHandler(n.logged, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", n.id)
	registry := prometheus.NewRegistry()
	var err error
	if n.catalog, err = catalog.Open(filepath.Join(n.dir, "catalog.db"), catalog.Options{Logger: logger, Registerer: registry}); err != nil {
		t.Fatal(err)
	}
	c := Config{
		ID: n.id, Dir: filepath.Join(n.dir, "raft"), Catalog: n.catalog, Logger: logger, Registerer: registry,
		ClusterAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0", Secrets: [][]byte{n.rig.secret}, BootstrapExpect: n.rig.expect,
		HTTPAddress: n.id + ":80", Version: "test", Timing: fast, faults: n.rig.net.faults(n.id, n.rig.segment), Join: n.rig.seeds(),
	}
	if n.change != nil {
		n.change(&c)
	}
	if n.Cluster, err = Open(c); err != nil {
		_ = n.catalog.Close()
		n.Cluster = nil
		return err
	}
	n.rig.net.at(n.id, n.transport.Address())
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	n.rig.net.at(n.id, n.gossip.address)
	n.rig.net.runs(n.id, n.gossip.address)
	return nil
}

func (n *node) start() *node {
	n.rig.t.Helper()
	if err := n.open(); err != nil {
		n.rig.t.Fatal(err)
	}
	return n
}

// seeds returns the gossip addresses of the running nodes.
func (r *rig) seeds() []string {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	return slices.Sorted(maps.Values(r.net.gossip))
}

// kill stops a node as if its process had been killed.
func (n *node) kill() { n.end(false) }

func (n *node) end(graceful bool) {
	if n.Cluster == nil {
		return
	}
	n.rig.net.runs(n.id, "")
	if err := n.close(graceful); err != nil {
		n.rig.t.Errorf("close %s: %v", n.id, err)
	}
	if err := n.catalog.Close(); err != nil {
		n.rig.t.Errorf("close the catalog of %s: %v", n.id, err)
	}
	n.Cluster = nil
}

// wipe empties the disk of a node that is down.
func (n *node) wipe() {
	if err := os.RemoveAll(n.dir); err != nil {
		n.rig.t.Fatal(err)
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		n.rig.t.Fatal(err)
	}
}

// eventually waits until check returns nil; otherwise the test fails with its last error.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(busy(2 * time.Minute))
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (n *node) ready() {
	n.rig.t.Helper()
	eventually(n.rig.t, n.id+" is ready", n.Ready)
}

// put writes a project through a node. It retries, since on a busy machine a leader may lose
// its followers.
func (n *node) put(i int) {
	n.rig.t.Helper()
	eventually(n.rig.t, "write through "+n.id, func() error {
		_, err := n.Propose(n.rig.t.Context(), project(i))
		if err != nil && !errors.Is(err, ErrNoLeader) && !errors.Is(err, ErrUnknown) {
			n.rig.t.Fatalf("write through %s: %v", n.id, err)
		}
		return err
	})
}

// holds reports whether the catalog of a node has a project.
func (n *node) holds(i int) bool {
	return n.catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.Project("org", fmt.Sprint("p", i))
		return err
	}) == nil
}

// has fails unless a node has a project after a barrier.
func (n *node) has(i int) {
	n.rig.t.Helper()
	n.barrier()
	if !n.holds(i) {
		n.rig.t.Fatalf("%s has no project %d after a barrier", n.id, i)
	}
}

// barrier waits for a barrier on a node; like put, it retries.
func (n *node) barrier() {
	n.rig.t.Helper()
	eventually(n.rig.t, "barrier on "+n.id, func() error { return n.Barrier(n.rig.t.Context()) })
}

// leader waits until all nodes know the same leader.
func (r *rig) leader(among ...*node) (leader *node, followers []*node) {
	r.t.Helper()
	eventually(r.t, "there is one leader", func() error {
		leader, followers = nil, nil
		for _, n := range among {
			if t, _, _ := n.leadership.current(); t != nil {
				leader = n
			} else {
				followers = append(followers, n)
			}
		}
		if leader == nil {
			return errors.New("no node leads")
		}
		for _, n := range among {
			if id, _ := n.Leader(); id != leader.id {
				return fmt.Errorf("the leader of %s is %q, not %s", n.id, id, leader.id)
			}
		}
		return nil
	})
	return leader, followers
}

// voters waits until the cluster has these voters and no other members.
func (n *node) voters(want ...string) {
	n.rig.t.Helper()
	eventually(n.rig.t, "the voters are "+strings.Join(want, " "), func() error {
		var have []string
		for _, p := range n.Peers() {
			if !p.Voter {
				return fmt.Errorf("%s has no vote", p.ID)
			}
			have = append(have, p.ID)
		}
		if strings.Join(have, " ") != strings.Join(want, " ") {
			return fmt.Errorf("they are %v", have)
		}
		return nil
	})
}

// logBuffer keeps the log of a node.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// logs waits until a node has logged a text.
func (n *node) logs(text string) {
	n.rig.t.Helper()
	eventually(n.rig.t, n.id+" logs "+text, func() error {
		if !strings.Contains(n.logged.String(), text) {
			return errors.New("it does not")
		}
		return nil
	})
}

var discard = slog.New(slog.DiscardHandler)

// promise returns the request of a bootstrapper.
func promise(attempt, founder string, members ...string) *cpb.PromiseRequest {
	return &cpb.PromiseRequest{ClusterId: attempt, Founder: founder, Members: members}
}
