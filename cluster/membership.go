package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	cpb "firescan/cluster/clusterpb"
	"firescan/cluster/transport"
)

// changeTimeout bounds how long a change of the members may wait for its turn.
const changeTimeout = 5 * time.Second

// membership is the leader's work on the members: it adds the nodes that gossip has
// discovered, and removes those that an operator removes. Autopilot does the rest.
type membership struct {
	config   *Config
	members  *members
	identity *identityFile
	gossip   *gossip // nil without ports
	raft     *raft.Raft
	logger   *slog.Logger
	limit    transport.LogLimiter
	work     *sync.WaitGroup
	ctx      context.Context //nolint:containedctx // that of the cluster
}

// start runs reconcile until the term ends, with each change of gossip and each tick: it
// looks at the state rather than at events, so that nothing is missed.
func (m *membership) start(t *term) {
	if m.gossip == nil {
		return
	}
	m.work.Go(func() {
		_ = t.run(m.ctx, func(ctx context.Context) error {
			stop := startAutopilot(ctx, m.members)
			defer stop()
			tick := time.NewTicker(m.config.Timing.Tick)
			defer tick.Stop()
			for {
				changes := m.gossip.changes()
				for ctx.Err() == nil {
					changed, err := m.reconcile(ctx)
					if err != nil && ctx.Err() == nil && m.limit.Allow("reconcile "+err.Error()) {
						m.logger.Warn("a change of the members failed; retrying", "error", err)
					}
					if !changed || err != nil {
						break
					}
				}
				select {
				case <-changes:
				case <-tick.C:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		})
	})
}

// reconcile adds one node that gossip knows and that is no member, and reports whether there
// was one.
func (m *membership) reconcile(ctx context.Context) (changed bool, err error) {
	current := map[string]bool{}
	for _, s := range m.members.servers() {
		current[string(s.ID)] = true
	}
	var failed error
	for id, c := range m.gossip.all() {
		if !c.alive || c.meta.ClusterAddress == "" || !m.members.compatible(c.meta) {
			continue
		}
		switch {
		case c.meta.ClusterId == "":
			changed, err = false, m.admit(ctx, id, current[id])
		case !current[id]:
			changed, err = m.readd(ctx, id, c)
		default:
			continue
		}
		if err != nil {
			failed = fmt.Errorf("node %s: %w", id, err)
			continue
		}
		if changed {
			return true, nil
		}
	}
	return false, failed
}

// admit makes a fresh node a node of this cluster and adds it. If its id is a member's, the
// disk of that member is lost: the new node must not vote as if it remembered, so the id is
// removed first. Gossip may be outdated, so the node is asked.
func (m *membership) admit(ctx context.Context, id string, member bool) error {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	status, err := m.members.rpc(id).Status(ctx, &cpb.StatusRequest{})
	if err != nil {
		return fmt.Errorf("get its status: %w", err)
	}
	cluster := m.identity.get().Cluster
	if !status.Fresh || status.Id != id || status.ClusterId == cluster { // the last is a candidate
		return nil
	}
	if member {
		m.logger.Warn("a member came back without its data: it is removed and added again", "peer", id)
		if err := m.raft.RemoveServer(raft.ServerID(id), 0, changeTimeout).Error(); err != nil {
			return fmt.Errorf("remove it, since it came back without its data: %w", err)
		}
	}
	response, err := m.members.rpc(id).Admit(ctx, &cpb.AdmitRequest{ClusterId: cluster, Leader: m.members.id})
	if err != nil {
		return fmt.Errorf("admit it: %w", err)
	}
	if response.Refusal != "" {
		return fmt.Errorf("it refused to be admitted: %s", response.Refusal)
	}
	return m.addNonvoter(id)
}

// readd adds a node of this cluster: one that was just admitted, or that was removed because
// it was dead for long. It rejects one that an operator has removed.
func (m *membership) readd(ctx context.Context, id string, c contact) (bool, error) {
	if self := m.identity.get(); slices.Contains(self.Dismissed, c.meta.Instance) {
		ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
		defer cancel()
		_, err := m.members.rpc(id).Dismiss(ctx, &cpb.DismissRequest{ClusterId: self.Cluster, Id: id, Instance: c.meta.Instance})
		return false, err
	}
	return true, m.addNonvoter(id)
}

func (m *membership) addNonvoter(id string) error {
	m.logger.Info("adding a node to the cluster", "peer", id)
	s := raftServer(id)
	if err := m.raft.AddNonvoter(s.ID, s.Address, 0, changeTimeout).Error(); err != nil {
		return fmt.Errorf("add it: %w", err)
	}
	return nil
}
