package systemtest

import (
	"fmt"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// whole waits until the given nodes hold the shard of a world, each all of it.
func (c *cluster) whole(t testing.TB, w *world, nodes ...*node) time.Duration {
	t.Helper()
	sum := ""
	return await(t, "the shards are whole", 2*patience, func() bool {
		for _, n := range nodes {
			own, err := w.own(t.Context(), n)
			if err != nil || sum != "" && own != sum {
				time.Sleep(100 * time.Millisecond)
				return false
			}
			sum = own
		}
		members := c.members(t)
		for _, n := range nodes {
			if members[n.id].Shards == 0 {
				return false
			}
		}
		return true
	})
}

// TestReplacedNode loses a node with its disk. It comes back empty under its old name, or
// another one comes in its place: either becomes a voter, and gets its copies of the shards,
// with nobody doing anything but starting it.
func TestReplacedNode(t *testing.T) {
	c := newCluster(t, settings{nodes: 3, flags: []string{"--dead-after", "8s"}})
	w := c.newWorld(t, bucketserver.Tree, pick(few(10_000, 30_000), 300_000), bucketserver.Options{})
	w.sync(t)
	c.whole(t, w, c.nodes...)
	want := w.right(t)
	listed := w.served()
	for round := range pick(1, 10) {
		for name, victim := range map[string]func() *node{
			"a follower": func() *node { return c.follower(t) }, "the leader": func() *node { return c.leader(t) },
		} {
			t.Run(fmt.Sprintf("%s with an empty disk %d", name, round+1), func(t *testing.T) {
				n := victim()
				n.kill(t)
				n.empty(t)
				n.start(t)
				c.replaced(t, w, n, c.nodes...)
				w.same(t, want)
			})
		}
		if t.Failed() {
			return
		}
	}
	t.Run("another node", func(t *testing.T) {
		n := c.follower(t)
		n.kill(t)
		n.empty(t)
		fresh := c.add(t)
		fresh.start(t)
		c.replaced(t, w, fresh, c.others(n)...)
		w.same(t, want)
	})
	if more := w.served() - listed; more > 0 {
		t.Errorf("%d keys were listed for copies that the other nodes have", more)
	}
}

// replaced waits until a node that came empty does all that the one before it did: then the
// voters are the given ones. It votes last, for it did so before its disk was lost, too.
func (c *cluster) replaced(t testing.TB, w *world, n *node, voters ...*node) {
	t.Helper()
	began := time.Now()
	since := func() time.Duration { return time.Since(began).Round(time.Millisecond) }
	c.serves(t, n)
	ready := since()
	c.whole(t, w, n)
	whole := since()
	c.voters(t, 3*patience, voters...)
	t.Logf("%s was ready after %v, had its shards after %v and voted after %v", n.id, ready, whole, since())
	c.whole(t, w, voters...)
}
