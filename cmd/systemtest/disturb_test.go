package systemtest

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func splitKey(key string) (kind, id string, ok bool) { return strings.Cut(key, "/") }

// disturb has one thing after the other happen to the nodes, and ends when all of them
// are well again.
func (c *cluster) disturb(t *testing.T, lasting time.Duration) {
	t.Helper()
	kinds := []func(){
		func() { // the leader is killed
			n := c.leader(t)
			n.kill(t)
			c.rest(1, 2)
			n.start(t)
		},
		func() { // it is frozen for longer than an election takes
			n := c.leader(t)
			n.freeze(t)
			c.rest(3, 5)
			n.thaw(t)
		},
		func() { // another one is killed
			n := c.follower(t)
			n.kill(t)
			c.rest(0, 1)
			n.start(t)
		},
		func() { // all are killed at once
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
			func() { // the leader is cut off
				n := c.leader(t)
				c.network.cut(t, n, c.others(n)...)
				c.rest(3, 5)
				c.network.heal(t)
			},
			func() { // the leader is heard by none
				n := c.leader(t)
				for _, other := range c.others(n) {
					c.network.mute(t, n, other)
				}
				c.rest(3, 5)
				c.network.heal(t)
			},
			func() { // two nodes hear of one another only through the third
				n := c.follower(t)
				c.network.cut(t, n, c.leader(t))
				c.rest(3, 5)
				c.network.heal(t)
			})
	}
	began := time.Now()
	for turn := 0; time.Since(began) < lasting; turn++ {
		kinds[turn%len(kinds)]()
		for _, n := range c.nodes {
			c.serves(t, n)
		}
		c.rest(0, 1)
	}
}

// rest waits for some seconds, between least and most.
func (c *cluster) rest(least, most float64) {
	time.Sleep(time.Duration((least + rand.Float64()*(most-least)) * float64(time.Second)))
}
