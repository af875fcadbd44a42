package cluster

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// joinAtMost is how long the tries to find other nodes come to be apart.
const joinAtMost = 15 * time.Second

// tellGossip has gossip tell the others what this node is now.
func (c *Cluster) tellGossip() {
	select {
	case c.retell <- struct{}{}:
	default: // it is about to
	}
}

// findOthers looks for nodes that gossip does not know, until the cluster closes: the ones
// that the operator named, as long as nobody is there, and members that are missing, where
// they were last. So a node that was cut off for long finds back without help.
func (c *Cluster) findOthers() {
	wait := c.config.Timing.Tick
	for {
		c.remember()
		missing := c.missing()
		if len(missing) == 0 {
			wait = c.config.Timing.Tick
		} else if err := c.gossip.join(c.ctx, missing); err == nil {
			wait = c.config.Timing.Tick
		} else {
			if errors.Is(err, errOtherSecret) && c.told.now("join secret") {
				c.logger.Warn("gossip was refused: the other node has another cluster secret than this one", "error", err)
			} else if c.ctx.Err() == nil && c.told.now("join") {
				c.logger.Warn("other nodes are not found; they are tried again for ever", "error", err)
			}
			wait = min(2*wait, joinAtMost)
		}
		select {
		case <-time.After(wait):
		case <-c.retell:
			c.gossip.update()
		case <-c.ctx.Done():
			return
		}
	}
}

// missing lists the gossip addresses at which others may be found.
func (c *Cluster) missing() []string {
	known := c.gossip.known()
	ask := map[string]bool{}
	others := 0
	for _, k := range known {
		if k.alive && c.ours(k.meta) {
			others++
		}
	}
	// A fresh node asks all of them again and again: each may know of a cluster.
	if others == 0 || c.identity.get().Stage != stageMember {
		for _, address := range c.config.Join {
			ask[address] = true
		}
	}
	remembered := c.identity.get().Others
	for _, s := range c.servers() {
		id := string(s.ID)
		last := remembered[id].Gossip
		if k, ok := known[id]; id != c.id && last != "" && (!ok || !k.alive) {
			ask[last] = true
		}
	}
	delete(ask, c.gossip.at)
	return slices.Sorted(maps.Keys(ask))
}

// remember notes where the members are found, for the time after a restart.
func (c *Cluster) remember() {
	now := map[string]whereabouts{}
	known := c.gossip.known()
	old := c.identity.get().Others
	for _, s := range c.servers() {
		id := string(s.ID)
		if k, ok := known[id]; ok && id != c.id && c.ours(k.meta) {
			now[id] = whereabouts{k.meta.ClusterAddress, k.gossip}
		} else if last, ok := old[id]; ok {
			now[id] = last
		}
	}
	if maps.Equal(now, old) {
		return
	}
	if err := c.identity.update(func(i *identity) error {
		i.Others = now
		return nil
	}); err != nil && c.told.now("remember") {
		c.logger.Warn("where the other nodes are could not be noted", "error", err)
	}
}
