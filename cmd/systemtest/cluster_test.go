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
)

// cluster is a number of nodes that begin together.
type cluster struct {
	program, secretFile string
	dir, logs           string
	flags               []string
	nodes               []*node
	admin               *client
	network             *network // nil: all nodes are on the loopback
}

// settings say what cluster a test wants.
type settings struct {
	nodes int
	// network has each node in a network namespace of its own.
	network bool
	flags   []string
}

// newCluster starts a cluster and waits until all its nodes serve.
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
		c.serves(t, n)
	}
	t.Logf("%d nodes serve after %v", s.nodes, time.Since(began).Round(10*time.Millisecond))
	return c
}

// add makes room for another node and does not start it.
func (c *cluster) add(t *testing.T) *node {
	t.Helper()
	i := len(c.nodes) + 1
	n := &node{cluster: c, id: "n" + strconv.Itoa(i)}
	n.dir, n.log = filepath.Join(c.dir, n.id), filepath.Join(c.logs, n.id+".log")
	if c.network != nil {
		n.host, n.namespace = c.network.join(t, n.id)
		n.http, n.port, n.gossip = n.host+":8080", n.host+":7400", n.host+":7401"
	} else {
		n.host, n.http, n.port, n.gossip = "127.0.0.1", freePort(t), freePort(t), freePort(t)
	}
	n.flags = []string{"--bootstrap-expect", "1"}
	c.nodes = append(c.nodes, n)
	t.Cleanup(func() { n.dispose(t) })
	return n
}

// up lists the nodes that run and are not frozen.
func (c *cluster) up() []*node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return !n.running() })
}

// others lists all nodes but those given.
func (c *cluster) others(not ...*node) []*node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return slices.Contains(not, n) })
}

// await waits for something that takes a while.
func await(t testing.TB, what string, within time.Duration, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > within {
			t.Fatalf("waited for %v in vain until %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// patience is for what must come about and whose time is not judged.
const patience = time.Minute

// serves waits until a node is ready.
func (c *cluster) serves(t testing.TB, n *node) time.Duration {
	t.Helper()
	return await(t, n.id+" is ready", patience, func() bool {
		if !n.running() {
			t.Fatalf("%s does not run", n.id)
		}
		a, err := c.admin.ask(t.Context(), n, asked{method: http.MethodGet, path: "/readyz", within: time.Second})
		return err == nil && a.Status == http.StatusOK
	})
}

// leaderAmong asks the nodes themselves which of them leads; nil when none does.
func (c *cluster) leaderAmong(ctx context.Context, nodes []*node) *node {
	for _, n := range nodes {
		if leads, ok := c.metric(ctx, n, "firescan_cluster_leader"); ok && leads == 1 {
			return n
		}
	}
	return nil
}

// leader waits for one.
func (c *cluster) leader(t testing.TB) (l *node) {
	t.Helper()
	await(t, "there is a leader", patience, func() bool {
		l = c.leaderAmong(t.Context(), c.up())
		return l != nil
	})
	return l
}

// follower is any node that runs and does not lead.
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

// member is a node as the cluster shows it.
type member struct {
	ID, State     string
	Leader, Voter bool
	AppliedIndex  uint64
	Shards        int
}

// members asks any node for all of them, by id.
func (c *cluster) members(t testing.TB) map[string]member {
	t.Helper()
	var status struct{ Nodes []member }
	c.must(t, c.admin, asked{method: http.MethodGet, path: "/api/v1/admin/cluster"}, &status)
	byID := map[string]member{}
	for _, m := range status.Nodes {
		byID[m.ID] = m
	}
	return byID
}

// voters waits until exactly the given nodes are members, and all of them vote and live.
func (c *cluster) voters(t testing.TB, within time.Duration, nodes ...*node) time.Duration {
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

// as makes a client of an organisation with a new token.
func (c *cluster) as(t testing.TB, org, role string) *client {
	t.Helper()
	var made struct{ Token string }
	c.must(t, c.admin, asked{
		method: http.MethodPost, path: "/api/v1/admin/tokens", body: map[string]string{"organizationId": org, "role": role},
	}, &made)
	return &client{http: c.admin.http, token: made.Token, org: org}
}
