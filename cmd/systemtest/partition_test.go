package systemtest

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

const (
	// refusalLimit is the promised maximum time to a 503 of a partitioned node, and
	// healLimit the maximum time from the end of the partition to a successful response.
	refusalLimit = 3 * time.Second
	healLimit    = 10 * time.Second
)

// TestPartitions partitions nodes in network namespaces, in one or both directions, once
// or repeatedly. A majority continues to serve; an isolated node responds with 503 soon,
// and serves stale reads on demand.
func TestPartitions(t *testing.T) {
	c := newCluster(t, settings{nodes: 3, network: true})
	as := c.as(t, "parted", "service")
	for range pick(1, 10) {
		t.Run("isolated leader", func(t *testing.T) { c.isolate(t, as, c.leader(t)) })
		t.Run("isolated follower", func(t *testing.T) { c.isolate(t, as, c.follower(t)) })
		t.Run("mute leader", func(t *testing.T) {
			n := c.leader(t)
			c.oneWay(t, as, n, func() {
				for _, other := range c.others(n) {
					c.network.mute(t, n, other)
				}
			})
		})
		t.Run("flapping", func(t *testing.T) { c.flapping(t, as, pick(6*time.Second, time.Minute)) })
		if !long {
			return // the other cases are similar
		}
		t.Run("deaf leader", func(t *testing.T) {
			n := c.leader(t)
			c.oneWay(t, as, n, func() {
				for _, other := range c.others(n) {
					c.network.mute(t, other, n)
				}
			})
		})
		t.Run("mute follower", func(t *testing.T) {
			n := c.follower(t)
			c.oneWay(t, as, n, func() {
				for _, other := range c.others(n) {
					c.network.mute(t, n, other)
				}
			})
		})
		t.Run("leader and follower partitioned", func(t *testing.T) {
			n := c.follower(t)
			c.oneWay(t, as, n, func() { c.network.cut(t, n, c.leader(t)) })
		})
		if t.Failed() {
			return
		}
	}
}

// isolate partitions a node from both others.
func (c *cluster) isolate(t *testing.T, as *client, n *node) {
	t.Helper()
	majority := c.others(n)
	project := func(id string) request {
		return request{
			method: http.MethodPut, path: "/api/v1/catalog/projects/" + id, body: map[string]string{"id": id, "name": id}, timeout: 10 * refusalLimit,
		}
	}
	known := request{method: http.MethodGet, path: "/api/v1/catalog/projects/known", timeout: 10 * refusalLimit}
	c.must(t, as, project("known"), nil)
	// The node must have the record before the partition.
	if _, _, err := as.retry(t.Context(), []*node{n}, known); err != nil {
		t.Fatal(err)
	}
	c.network.cut(t, n, majority...)
	defer c.network.heal(t)
	cut := time.Now()

	var slowest time.Duration
	refused := func(q request) bool {
		a, err := as.do(t.Context(), n, q)
		if err != nil {
			t.Errorf("%s %s: %v, want a refusal", q.method, q.path, err)
			return true
		}
		slowest = max(slowest, a.took)
		return a.Status == http.StatusServiceUnavailable && a.Error.Code == "NO_LEADER"
	}
	if !refused(project("lost")) {
		t.Error("an isolated node accepted a write")
	}
	await(t, "an isolated node refuses reads", 3*refusalLimit, func() bool { return refused(known) })
	stale := known
	stale.path += "?consistency=stale"
	if a, err := as.do(t.Context(), n, stale); err != nil || !a.ok() {
		t.Errorf("a stale read fails: %v, %v", a, err)
	}
	if _, _, err := as.retry(t.Context(), majority, project("after")); err != nil {
		t.Errorf("the majority does not accept writes: %v", err)
	}
	t.Logf("%s is isolated: the slowest refusal took %v, the majority accepted a write after %v", n.id, slowest.Round(time.Millisecond), time.Since(cut).Round(time.Millisecond))
	if slowest > 3*refusalLimit {
		t.Errorf("a refusal took %v, want %v", slowest, refusalLimit)
	}
	time.Sleep(3 * time.Second) // until gossip has declared it failed, too
	c.network.heal(t)
	c.awaitHealed(t, as, n, "after")
}

// awaitHealed waits until a node returns a record that was written during its partition.
func (c *cluster) awaitHealed(t *testing.T, as *client, n *node, id string) {
	t.Helper()
	took := await(t, n.id+" returns the record written during its partition", 3*healLimit, func() bool {
		a, err := as.do(t.Context(), n, request{method: http.MethodGet, path: "/api/v1/catalog/projects/" + id, timeout: refusalLimit})
		return err == nil && a.ok()
	})
	t.Logf("%s had caught up after %v", n.id, took.Round(time.Millisecond))
	for _, n := range c.nodes {
		c.awaitReady(t, n)
	}
	if a, err := as.do(t.Context(), n, request{method: http.MethodGet, path: "/api/v1/catalog/projects/lost"}); err == nil && a.ok() {
		var project struct{ Name string }
		_ = json.Unmarshal(a.Data, &project)
		t.Errorf("a refused write took effect: %+v", project)
	}
}

// oneWay drops some messages between nodes. A majority can still communicate, so a client
// that tries all nodes succeeds.
func (c *cluster) oneWay(t *testing.T, as *client, n *node, cut func()) {
	t.Helper()
	l := &ledger{as: as, name: "oneway"}
	during(t, func() {
		defer c.network.heal(t)
		time.Sleep(200 * time.Millisecond)
		cut()
		began := time.Now()
		c.must(t, as, request{
			method: http.MethodPut, path: "/api/v1/catalog/projects/through", timeout: 3 * time.Second, body: map[string]string{"id": "through", "name": "t"},
		}, nil)
		t.Logf("the first write took %v", time.Since(began).Round(time.Millisecond))
		time.Sleep(4 * time.Second)
	}, func(ctx context.Context) { l.write(ctx, c.up) })
	c.awaitHealed(t, as, n, "through")
	l.verify(t, c.nodes...)
}

// flapping partitions a follower repeatedly, for shorter than the timeouts of gossip.
func (c *cluster) flapping(t *testing.T, as *client, lasting time.Duration) {
	t.Helper()
	n, leader := c.follower(t), c.leader(t)
	l := &ledger{as: as, name: "flapping"}
	during(t, func() {
		defer c.network.heal(t)
		for end := time.Now().Add(lasting); time.Now().Before(end); {
			c.network.cut(t, n, c.others(n)...)
			c.pause(0.3, 2)
			c.network.heal(t)
			c.pause(0.3, 2)
		}
	}, func(ctx context.Context) { l.write(ctx, func() []*node { return c.others(n) }) })
	if now := c.leader(t); now != leader {
		t.Logf("the leader changed from %s to %s", leader.id, now.id)
	}
	c.must(t, as, request{method: http.MethodPut, path: "/api/v1/catalog/projects/steady", body: map[string]string{"id": "steady", "name": "s"}}, nil)
	c.awaitHealed(t, as, n, "steady")
	l.verify(t, c.nodes...)
}
