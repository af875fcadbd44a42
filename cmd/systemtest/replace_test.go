package systemtest

import (
	"fmt"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// awaitShards waits until the given nodes have identical, complete replicas of the shard.
func (c *cluster) awaitShards(t testing.TB, w *world, nodes ...*node) time.Duration {
	t.Helper()
	sum := ""
	return await(t, "the replicas are complete", 2*patience, func() bool {
		for _, n := range nodes {
			own, err := w.exportLocal(t.Context(), n)
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

// TestReplacedNode kills a node and wipes its disk. The node restarts empty under its old
// name, or a new node is added: either becomes a voter and gets its replicas without any
// operation besides its start.
func TestReplacedNode(t *testing.T) {
	c := newCluster(t, settings{nodes: 3, flags: []string{"--dead-after", "8s"}})
	w := c.newWorld(t, bucketserver.Tree, pick(few(10_000, 30_000), 300_000), bucketserver.Options{})
	w.sync(t)
	c.awaitShards(t, w, c.nodes...)
	want := w.verify(t)
	listed := w.keysListed()
	for round := range pick(1, 10) {
		for name, victim := range map[string]func() *node{
			"a follower": func() *node { return c.follower(t) }, "the leader": func() *node { return c.leader(t) },
		} {
			t.Run(fmt.Sprintf("%s with an empty disk %d", name, round+1), func(t *testing.T) {
				n := victim()
				n.kill(t)
				n.wipe(t)
				n.start(t)
				c.awaitReplacement(t, w, n, c.nodes...)
				w.verifySum(t, want)
			})
		}
		if t.Failed() {
			return
		}
	}
	t.Run("another node", func(t *testing.T) {
		n := c.follower(t)
		n.kill(t)
		n.wipe(t)
		fresh := c.add(t)
		fresh.start(t)
		c.awaitReplacement(t, w, fresh, c.others(n)...)
		w.verifySum(t, want)
	})
	if more := w.keysListed() - listed; more > 0 {
		t.Errorf("%d keys were listed again for replicas that other nodes have", more)
	}
}

// awaitReplacement waits until an empty node is ready, has its replicas, and the voters
// are the given ones. It checks the voters last, because a node with the old name counts
// as one from the start.
func (c *cluster) awaitReplacement(t testing.TB, w *world, n *node, voters ...*node) {
	t.Helper()
	began := time.Now()
	since := func() time.Duration { return time.Since(began).Round(time.Millisecond) }
	c.awaitReady(t, n)
	ready := since()
	c.awaitShards(t, w, n)
	whole := since()
	c.awaitVoters(t, 3*patience, voters...)
	t.Logf("%s was ready after %v, had its replicas after %v and was a voter after %v", n.id, ready, whole, since())
	c.awaitShards(t, w, voters...)
}
