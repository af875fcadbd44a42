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
	tick := time.NewTicker(w.timeout / 10)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		duration := w.log.writeTime()
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
		w.stop(fmt.Errorf("%w: a write of the log takes longer than %v; another node leads now", ErrStalled, duration.Round(time.Second)))
		return
	}
}
