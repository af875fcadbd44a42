package systemtest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"firescan/provider/providertest/ports"
)

// A cluster is a set of nodes that were bootstrapped together.
type cluster struct {
	program, secretFile string
	dir, logs           string
	flags               []string
	nodes               []*node
	admin               *client
	network             *network // nil: all nodes are on the loopback
}

// settings configure a cluster.
type settings struct {
	nodes int
	// network runs each node in a separate network namespace.
	network bool
	flags   []string
}

// newCluster starts a cluster and waits until all nodes are ready.
func newCluster(t *testing.T, s settings) *cluster {
	t.Helper()
	c := &cluster{program: program(t), dir: t.TempDir(), flags: s.flags}
	c.logs = c.dir
	if keep := os.Getenv("FIRESCAN_KEEP"); keep != "" {
		c.logs = filepath.Join(keep, strings.ReplaceAll(t.Name(), "/", "-")+time.Now().Format("-150405"))
		if err := os.MkdirAll(c.logs, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	c.admin = &client{http: &http.Client{Transport: transport}, token: "root-" + rand.Text() + rand.Text()}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	c.secretFile = filepath.Join(c.dir, "secret")
	if err := os.WriteFile(c.secretFile, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.network {
		c.network = newNetwork(t)
	}
	for range s.nodes {
		n := c.add(t)
		n.flags = []string{"--bootstrap-expect", strconv.Itoa(s.nodes)}
	}
	began := time.Now()
	for _, n := range c.nodes {
		n.start(t)
	}
	for _, n := range c.nodes {
		c.awaitReady(t, n)
	}
	t.Logf("%d nodes are ready after %v", s.nodes, time.Since(began).Round(10*time.Millisecond))
	return c
}

// add adds a node without starting it.
func (c *cluster) add(t *testing.T) *node {
	t.Helper()
	i := len(c.nodes) + 1
	n := &node{cluster: c, id: "n" + strconv.Itoa(i)}
	n.dir, n.log = filepath.Join(c.dir, n.id), filepath.Join(c.logs, n.id+".log")
	if c.network != nil {
		n.host, n.namespace = c.network.join(t, n.id)
		n.http, n.port, n.gossip = n.host+":8080", n.host+":7400", n.host+":7401"
	} else {
		n.host, n.http, n.port, n.gossip = "127.0.0.1", ports.Address(t), ports.Address(t), ports.Address(t)
	}
	n.flags = []string{"--bootstrap-expect", "1"}
	c.nodes = append(c.nodes, n)
	t.Cleanup(func() { n.dispose(t) })
	return n
}

// up returns the nodes that run and are not frozen.
func (c *cluster) up() []*node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return !n.running() })
}

// others returns all nodes except the given ones.
func (c *cluster) others(not ...*node) []*node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return slices.Contains(not, n) })
}

// await polls until done returns true, and returns how long that took.
func await(t testing.TB, what string, within time.Duration, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > within {
			t.Fatalf("timeout after %v: not true that %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// patience is the timeout for conditions whose duration is not asserted.
const patience = time.Minute

// awaitReady waits until a node is ready.
func (c *cluster) awaitReady(t testing.TB, n *node) time.Duration {
	t.Helper()
	return await(t, n.id+" is ready", patience, func() bool {
		if !n.running() {
			t.Fatalf("%s does not run", n.id)
		}
		a, err := c.admin.do(t.Context(), n, request{method: http.MethodGet, path: "/readyz", timeout: time.Second})
		return err == nil && a.Status == http.StatusOK
	})
}

// leaderAmong returns the node that reports to be the leader, or nil.
func (c *cluster) leaderAmong(ctx context.Context, nodes []*node) *node {
	for _, n := range nodes {
		if leads, ok := c.metric(ctx, n, "firescan_cluster_leader"); ok && leads == 1 {
			return n
		}
	}
	return nil
}

// leader waits for a leader and returns it.
func (c *cluster) leader(t testing.TB) (l *node) {
	t.Helper()
	await(t, "there is a leader", patience, func() bool {
		l = c.leaderAmong(t.Context(), c.up())
		return l != nil
	})
	return l
}

// follower returns a running node that is not the leader.
func (c *cluster) follower(t testing.TB) *node {
	t.Helper()
	leader := c.leader(t)
	for _, n := range c.up() {
		if n != leader {
			return n
		}
	}
	t.Fatal("there is no follower")
	return nil
}

// A member is a node in the response of the API.
type member struct {
	ID, State     string
	Leader, Voter bool
	AppliedIndex  uint64
	Shards        int
}

// members returns all members by id.
func (c *cluster) members(t testing.TB) map[string]member {
	t.Helper()
	var status struct{ Nodes []member }
	c.must(t, c.admin, request{method: http.MethodGet, path: "/api/v1/admin/cluster"}, &status)
	byID := map[string]member{}
	for _, m := range status.Nodes {
		byID[m.ID] = m
	}
	return byID
}

// awaitVoters waits until exactly the given nodes are members, all of them voters and
// alive.
func (c *cluster) awaitVoters(t testing.TB, within time.Duration, nodes ...*node) time.Duration {
	t.Helper()
	var last map[string]member
	return await(t, fmt.Sprintf("the voters are %d nodes (they are %+v)", len(nodes), last), within, func() bool {
		last = c.members(t)
		for _, n := range nodes {
			if m := last[n.id]; !m.Voter || m.State != "alive" {
				return false
			}
		}
		return len(last) == len(nodes)
	})
}

// as returns a client with a new token of an organization.
func (c *cluster) as(t testing.TB, org, role string) *client {
	t.Helper()
	var made struct{ Token string }
	c.must(t, c.admin, request{
		method: http.MethodPost, path: "/api/v1/admin/tokens", body: map[string]string{"organizationId": org, "role": role},
	}, &made)
	return &client{http: c.admin.http, token: made.Token, org: org}
}
