package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"firescan/cluster/transport"
)

// diskWatchdog stops this node when it leads and a write of its log hangs. A leader with a
// frozen disk still sends heartbeats, so the others would wait for it forever
// (hashicorp/consul issue 22064). It cannot step down, since Raft itself waits for the disk:
// so its connections are closed, and the process ends.
type diskWatchdog struct {
	timeout time.Duration
	log     *logStore
	raft    *raft.Raft
	members *members
	logger  *slog.Logger
	limit   transport.LogLimiter
	// stop disconnects and stops this node.
	stop func(error)
}

// run watches until ctx ends.
func (w *diskWatchdog) run(ctx context.Context) {
	interval := w.timeout / 10
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var current pendingWrite
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		duration := interval * time.Duration(current.observe(w.log.writeStart.Load()))
		if duration < w.timeout || w.raft.State() != raft.Leader {
			continue
		}
		if w.members.onlyVoter() {
			// No other node could lead.
			if w.limit.Allow("stall") {
				w.logger.Error("the disk hangs: writes wait for it", "for", duration)
			}
			continue
		}
		w.logger.Error("the disk hangs: this node stops, so that another one can lead", "for", duration)
		w.stop(fmt.Errorf("%w: a write of the log takes longer than %v; another node leads now", ErrStalled, w.timeout))
		return
	}
}

// A pendingWrite counts the ticks at which one write is pending. Time is not read from a
// clock, since it also passes while the whole process is frozen (SIGSTOP, a paused machine),
// and that is no fault of the disk.
type pendingWrite struct {
	start int64 // when the write began, 0 for none
	ticks int
}

// observe returns at how many ticks after its first one the write that began at start is
// pending.
func (p *pendingWrite) observe(start int64) int {
	if start == 0 || start != p.start {
		*p = pendingWrite{start: start}
		return 0
	}
	p.ticks++
	return p.ticks
}
