package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// ErrStalled is why a leader stops whose disk hangs.
var ErrStalled = errors.New("the disk of this node hangs")

// watchDisk stops this node when it leads and its log hangs, until the cluster closes. A
// leader whose disk is frozen still sends heartbeats, so that the others would wait for
// it for ever (hashicorp/consul issue 22064). It cannot step down either, since raft itself waits for
// the disk: so its connections are cut, and the process ends.
func (c *Cluster) watchDisk() {
	limit := c.config.Timing.Stall
	tick := time.NewTicker(limit / 10)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
		busy := c.log.busyFor()
		if busy < limit || c.raft.State() != raft.Leader {
			continue
		}
		voters := 0
		for _, s := range c.servers() {
			if s.Suffrage == raft.Voter {
				voters++
			}
		}
		if voters == 1 {
			// Nobody could take over.
			if c.told.now("stall") {
				c.logger.Error("the disk hangs: nothing is written until it goes on", "for", busy)
			}
			continue
		}
		c.logger.Error("the disk hangs, so that this node must not lead any longer: it stops", "for", busy)
		c.wire.cut()
		c.stop(ErrStalled)
		c.fail(fmt.Errorf("%w: a write of the log is under way for %v; another node leads now", ErrStalled, busy.Round(time.Second)))
		return
	}
}
