package cluster

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"firescan/cluster/transport"
)

// maxJoinInterval bounds the backoff between attempts to join other nodes.
const maxJoinInterval = 15 * time.Second

// discovery joins nodes that gossip does not know: those of Config.Join while there is no
// other node, and missing members at their last address. So a node that was cut off for
// long finds the others again.
type discovery struct {
	members  *members
	identity *identityFile
	gossip   *gossip
	config   *Config
	logger   *slog.Logger
	limit    transport.LogLimiter
	ctx      context.Context //nolint:containedctx // that of the cluster
}

// run looks for other nodes until the cluster closes.
func (d *discovery) run() {
	interval := backoff.NewExponentialBackOff()
	interval.InitialInterval, interval.MaxInterval, interval.Multiplier = d.config.Timing.Tick, maxJoinInterval, 2
	interval.Reset()
	for {
		d.saveAddresses()
		wait := d.config.Timing.Tick
		if addresses := d.missing(); len(addresses) == 0 {
			interval.Reset()
		} else if err := d.gossip.join(d.ctx, addresses); err == nil {
			interval.Reset()
		} else {
			if errors.Is(err, transport.ErrOtherSecret) && d.limit.Allow("join secret") {
				d.logger.Warn("gossip was refused: the other node has another cluster secret than this one", "error", err)
			} else if d.ctx.Err() == nil && d.limit.Allow("join") {
				d.logger.Warn("joining other nodes failed; retrying", "error", err)
			}
			wait = interval.NextBackOff()
		}
		select {
		case <-time.After(wait):
		case <-d.gossip.outdated:
			d.gossip.update()
		case <-d.ctx.Done():
			return
		}
	}
}

// missing returns the gossip addresses at which to look for other nodes.
func (d *discovery) missing() []string {
	known := d.gossip.all()
	addresses := map[string]bool{}
	others := 0
	for _, c := range known {
		if c.alive && d.members.compatible(c.meta) {
			others++
		}
	}
	self := d.identity.get()
	// A fresh node keeps asking all of them: each may know a cluster.
	if others == 0 || self.Stage != stageMember {
		for _, address := range d.config.Join {
			addresses[address] = true
		}
	}
	for _, s := range d.members.servers() {
		id := string(s.ID)
		last := self.Others[id].Gossip
		if c, ok := known[id]; id != d.members.id && last != "" && (!ok || !c.alive) {
			addresses[last] = true
		}
	}
	delete(addresses, d.gossip.address)
	return slices.Sorted(maps.Keys(addresses))
}

// saveAddresses records the addresses of the members for the next start.
func (d *discovery) saveAddresses() {
	current := map[string]addresses{}
	known := d.gossip.all()
	saved := d.identity.get().Others
	for _, s := range d.members.servers() {
		id := string(s.ID)
		if c, ok := known[id]; ok && id != d.members.id && d.members.compatible(c.meta) {
			current[id] = addresses{c.meta.ClusterAddress, c.gossip}
		} else if last, ok := saved[id]; ok {
			current[id] = last
		}
	}
	if maps.Equal(current, saved) {
		return
	}
	if err := d.identity.update(func(i *identity) error {
		i.Others = current
		return nil
	}); err != nil && d.limit.Allow("save addresses") {
		d.logger.Warn("saving the addresses of other nodes failed", "error", err)
	}
}
