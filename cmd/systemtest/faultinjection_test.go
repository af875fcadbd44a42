package systemtest

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func splitKey(key string) (kind, id string, ok bool) { return strings.Cut(key, "/") }

// injectFaults injects one fault after the other, for at least so long and until enough
// reports true, and returns when all nodes are ready again.
func (c *cluster) injectFaults(t *testing.T, lasting time.Duration, enough func() bool) {
	t.Helper()
	kinds := []func(){
		func() { // kill the leader
			n := c.leader(t)
			n.kill(t)
			c.pause(1, 2)
			n.start(t)
		},
		func() { // freeze the leader for longer than an election takes
			n := c.leader(t)
			n.freeze(t)
			c.pause(3, 5)
			n.thaw(t)
		},
		func() { // kill a follower
			n := c.follower(t)
			n.kill(t)
			c.pause(0, 1)
			n.start(t)
		},
		func() { // kill all nodes
			for _, n := range c.nodes {
				n.kill(t)
			}
			for _, n := range c.nodes {
				n.start(t)
			}
		},
	}
	if c.network != nil {
		kinds = append(kinds,
			func() { // partition the leader
				n := c.leader(t)
				c.network.cut(t, n, c.others(n)...)
				c.pause(3, 5)
				c.network.heal(t)
			},
			func() { // drop all messages that the leader sends
				n := c.leader(t)
				for _, other := range c.others(n) {
					c.network.mute(t, n, other)
				}
				c.pause(3, 5)
				c.network.heal(t)
			},
			func() { // partition the leader and a follower from each other
				n := c.follower(t)
				c.network.cut(t, n, c.leader(t))
				c.pause(3, 5)
				c.network.heal(t)
			})
	}
	began := time.Now()
	for turn := 0; time.Since(began) < lasting || !enough() && time.Since(began) < 10*lasting; turn++ {
		kinds[turn%len(kinds)]()
		for _, n := range c.nodes {
			c.awaitReady(t, n)
		}
		c.pause(0, 1)
	}
}

// pause sleeps for a random number of seconds between least and most.
func (c *cluster) pause(least, most float64) {
	time.Sleep(time.Duration((least + rand.Float64()*(most-least)) * float64(time.Second)))
}
