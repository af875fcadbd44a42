package systemtest

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

const (
	// refusalLimit is what is promised to who asks a node that is cut off, and
	// healLimit to who asks it when it no longer is.
	refusalLimit = 3 * time.Second
	healLimit    = 10 * time.Second
)

// TestPartitions cuts nodes off from the others in network namespaces, in one direction or
// both, once or again and again. Whoever can be reached by a majority is served by it; a
// node that is alone says so soon, and tells on demand what it knew.
func TestPartitions(t *testing.T) {
	c := newCluster(t, settings{nodes: 3, network: true})
	as := c.as(t, "parted", "service")
	for range pick(1, 10) {
		t.Run("the leader is cut off", func(t *testing.T) { c.minority(t, as, c.leader(t)) })
		t.Run("a follower is cut off", func(t *testing.T) { c.minority(t, as, c.follower(t)) })
		t.Run("the leader is heard by none", func(t *testing.T) {
			n := c.leader(t)
			c.oneWay(t, as, n, func() {
				for _, other := range c.others(n) {
					c.network.mute(t, n, other)
				}
			})
		})
		t.Run("flapping", func(t *testing.T) { c.flapping(t, as, pick(6*time.Second, time.Minute)) })
		if !long {
			return // the rest differs little
		}
		t.Run("the leader hears none", func(t *testing.T) {
			n := c.leader(t)
			c.oneWay(t, as, n, func() {
				for _, other := range c.others(n) {
					c.network.mute(t, other, n)
				}
			})
		})
		t.Run("a follower is heard by none", func(t *testing.T) {
			n := c.follower(t)
			c.oneWay(t, as, n, func() {
				for _, other := range c.others(n) {
					c.network.mute(t, n, other)
				}
			})
		})
		t.Run("the leader and a follower are parted", func(t *testing.T) {
			n := c.follower(t)
			c.oneWay(t, as, n, func() { c.network.cut(t, n, c.leader(t)) })
		})
		if t.Failed() {
			return
		}
	}
}

// minority cuts a node off from both others.
func (c *cluster) minority(t *testing.T, as *client, n *node) {
	t.Helper()
	majority := c.others(n)
	project := func(id string) asked {
		return asked{
			method: http.MethodPut, path: "/api/v1/catalog/projects/" + id, body: map[string]string{"id": id, "name": id}, within: 10 * refusalLimit,
		}
	}
	known := asked{method: http.MethodGet, path: "/api/v1/catalog/projects/known", within: 10 * refusalLimit}
	c.must(t, as, project("known"), nil)
	// It may be that this node does not have it yet, and nobody will tell it soon.
	if _, _, err := as.persist(t.Context(), []*node{n}, known); err != nil {
		t.Fatal(err)
	}
	c.network.cut(t, n, majority...)
	defer c.network.heal(t)
	cut := time.Now()

	var slowest time.Duration
	refused := func(q asked) bool {
		a, err := as.ask(t.Context(), n, q)
		if err != nil {
			t.Errorf("%s %s: %v, want a refusal", q.method, q.path, err)
			return true
		}
		slowest = max(slowest, a.took)
		return a.Status == http.StatusServiceUnavailable && a.Error.Code == "NO_LEADER"
	}
	if !refused(project("lost")) {
		t.Error("a node that is cut off took a write")
	}
	await(t, "a node that is cut off refuses reads", 3*refusalLimit, func() bool { return refused(known) })
	stale := known
	stale.path += "?consistency=stale"
	if a, err := as.ask(t.Context(), n, stale); err != nil || !a.good() {
		t.Errorf("what was known is not told any more: %v, %v", a, err)
	}
	if _, _, err := as.persist(t.Context(), majority, project("after")); err != nil {
		t.Errorf("the majority does not go on: %v", err)
	}
	t.Logf("%s is cut off: the slowest refusal took %v, the majority had written after %v", n.id, slowest.Round(time.Millisecond), time.Since(cut).Round(time.Millisecond))
	if slowest > 3*refusalLimit {
		t.Errorf("a refusal took %v, want %v", slowest, refusalLimit)
	}
	time.Sleep(3 * time.Second) // so that gossip gives it up, too
	c.network.heal(t)
	c.healed(t, as, n, "after")
}

// healed waits until a node tells what was written without it.
func (c *cluster) healed(t *testing.T, as *client, n *node, id string) {
	t.Helper()
	took := await(t, n.id+" tells what was written without it", 3*healLimit, func() bool {
		a, err := as.ask(t.Context(), n, asked{method: http.MethodGet, path: "/api/v1/catalog/projects/" + id, within: refusalLimit})
		return err == nil && a.good()
	})
	t.Logf("%s was back after %v", n.id, took.Round(time.Millisecond))
	for _, n := range c.nodes {
		c.serves(t, n)
	}
	if a, err := as.ask(t.Context(), n, asked{method: http.MethodGet, path: "/api/v1/catalog/projects/lost"}); err == nil && a.good() {
		var project struct{ Name string }
		_ = json.Unmarshal(a.Data, &project)
		t.Errorf("a write that was refused is there: %+v", project)
	}
}

// oneWay has a part of what is between the nodes vanish. Some nodes can still agree, so
// that a client which asks all of them is served.
func (c *cluster) oneWay(t *testing.T, as *client, n *node, cut func()) {
	t.Helper()
	l := &ledger{as: as, name: "oneway"}
	during(t, func() {
		defer c.network.heal(t)
		time.Sleep(200 * time.Millisecond)
		cut()
		began := time.Now()
		c.must(t, as, asked{
			method: http.MethodPut, path: "/api/v1/catalog/projects/through", within: 3 * time.Second, body: map[string]string{"id": "through", "name": "t"},
		}, nil)
		t.Logf("the first write took %v", time.Since(began).Round(time.Millisecond))
		time.Sleep(4 * time.Second)
	}, func(ctx context.Context) { l.write(ctx, c.up) })
	c.healed(t, as, n, "through")
	l.holds(t, c.nodes...)
}

// flapping cuts a follower off and lets it back, faster than anybody can get used to.
func (c *cluster) flapping(t *testing.T, as *client, lasting time.Duration) {
	t.Helper()
	n, leader := c.follower(t), c.leader(t)
	l := &ledger{as: as, name: "flapping"}
	during(t, func() {
		defer c.network.heal(t)
		for end := time.Now().Add(lasting); time.Now().Before(end); {
			c.network.cut(t, n, c.others(n)...)
			c.rest(0.3, 2)
			c.network.heal(t)
			c.rest(0.3, 2)
		}
	}, func(ctx context.Context) { l.write(ctx, func() []*node { return c.others(n) }) })
	if now := c.leader(t); now != leader {
		t.Logf("the leadership went from %s to %s", leader.id, now.id)
	}
	c.must(t, as, asked{method: http.MethodPut, path: "/api/v1/catalog/projects/steady", body: map[string]string{"id": "steady", "name": "s"}}, nil)
	c.healed(t, as, n, "steady")
	l.holds(t, c.nodes...)
}
