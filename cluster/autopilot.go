package cluster

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"
)

const (
	// maxVoters bounds the voters: more make each write slower and the cluster no safer.
	maxVoters = 5
	// minVoters remain when dead nodes are removed: two of two are no safer than two of
	// three, and with three the dead one may come back.
	minVoters = 3
	// maxTrailingLogs is how many entries a healthy node may be behind.
	maxTrailingLogs = 1000
	// defaultDeadAfter leaves time to repair or restart a machine.
	defaultDeadAfter = 10 * time.Minute
)

// autopilotDelegate connects autopilot with the cluster. Autopilot gives healthy nodes a
// vote, and removes nodes that are dead for long; it runs while this node leads.
type autopilotDelegate struct {
	members *members
	started time.Time
	work    sync.WaitGroup
}

var _ autopilot.ApplicationIntegration = (*autopilotDelegate)(nil)

// startAutopilot runs autopilot until ctx ends; stop waits for that.
func startAutopilot(ctx context.Context, m *members) (stop func()) {
	d := &autopilotDelegate{members: m, started: time.Now()}
	tick := m.config.Timing.Tick
	a := autopilot.New(m.raft, d, autopilot.WithLogger(newLogger(m.logger)), autopilot.WithPromoter(&promoter{delegate: d}),
		autopilot.WithUpdateInterval(tick), autopilot.WithReconcileInterval(2*tick))
	a.Start(ctx)
	return func() {
		<-a.Stop()
		d.work.Wait()
	}
}

// AutopilotConfig implements autopilot.ApplicationIntegration.
func (d *autopilotDelegate) AutopilotConfig() *autopilot.Config {
	config := d.members.config
	return &autopilot.Config{
		CleanupDeadServers:      config.DeadAfter >= 0,
		LastContactThreshold:    2 * config.Timing.Heartbeat,
		MaxTrailingLogs:         maxTrailingLogs,
		MinQuorum:               minVoters,
		ServerStabilizationTime: config.Timing.Stable,
	}
}

// NotifyState implements autopilot.ApplicationIntegration.
func (d *autopilotDelegate) NotifyState(*autopilot.State) {}

// FetchServerStats implements autopilot.ApplicationIntegration.
func (d *autopilotDelegate) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	var mu sync.Mutex
	stats := map[raft.ServerID]*autopilot.ServerStats{}
	var requests sync.WaitGroup
	for id := range servers {
		requests.Go(func() {
			status, err := d.members.status(ctx, string(id))
			if err != nil {
				return
			}
			contact := time.Duration(status.LastContactMs) * time.Millisecond
			mu.Lock()
			defer mu.Unlock()
			stats[id] = &autopilot.ServerStats{LastContact: contact, LastTerm: status.LastLogTerm, LastIndex: status.LastLogIndex}
		})
	}
	requests.Wait()
	return stats
}

// KnownServers implements autopilot.ApplicationIntegration.
func (d *autopilotDelegate) KnownServers() map[raft.ServerID]*autopilot.Server {
	known := map[raft.ServerID]*autopilot.Server{}
	for _, s := range d.members.servers() {
		self := string(s.ID) == d.members.id
		server := &autopilot.Server{
			ID: s.ID, Name: string(s.ID), Address: s.Address, NodeStatus: autopilot.NodeFailed,
			NodeType: autopilot.NodeVoter, RaftVersion: int(raft.ProtocolVersionMax), IsLeader: self,
		}
		if c, ok := d.members.contact(string(s.ID)); self || ok && c.alive {
			server.NodeStatus = autopilot.NodeAlive
		}
		known[s.ID] = server
	}
	return known
}

// RemoveFailedServer implements autopilot.ApplicationIntegration.
func (d *autopilotDelegate) RemoveFailedServer(s *autopilot.Server) {
	d.work.Go(func() {
		d.members.logger.Warn("removing a node that is dead for too long; it is added again when it comes back", "peer", s.ID)
		if err := d.members.raft.RemoveServer(s.ID, 0, changeTimeout).Error(); err != nil {
			d.members.logger.Warn("removing a dead node failed; retrying", "peer", s.ID, "error", err)
		}
	})
}

// deadForLong reports whether a node is dead for so long that it is removed. A new leader
// starts to count again.
func (d *autopilotDelegate) deadForLong(id raft.ServerID) bool {
	since := d.started
	c, ok := d.members.contact(string(id))
	if ok && c.alive {
		return false
	}
	if ok && c.since.After(since) {
		since = c.since
	}
	return time.Since(since) >= cmp.Or(d.members.config.DeadAfter, defaultDeadAfter)
}

// promoter gives nodes a vote as autopilot does, but to at most maxVoters.
type promoter struct {
	autopilot.StablePromoter
	delegate *autopilotDelegate
}

var _ autopilot.Promoter = (*promoter)(nil)

// CalculatePromotionsAndDemotions implements autopilot.Promoter.
func (p *promoter) CalculatePromotionsAndDemotions(c *autopilot.Config, s *autopilot.State) autopilot.RaftChanges {
	voters := 0
	for _, server := range s.Servers {
		if server.HasVotingRights() {
			voters++
		}
	}
	changes := p.StablePromoter.CalculatePromotionsAndDemotions(c, s)
	autopilot.SortServers(changes.Promotions, s)
	changes.Promotions = changes.Promotions[:min(len(changes.Promotions), max(0, maxVoters-voters))]
	return changes
}

// FilterFailedServerRemovals implements autopilot.Promoter.
func (p *promoter) FilterFailedServerRemovals(_ *autopilot.Config, _ *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	deadForLong := func(all []*autopilot.Server) (dead []*autopilot.Server) {
		for _, s := range all {
			if p.delegate.deadForLong(s.ID) {
				dead = append(dead, s)
			}
		}
		return dead
	}
	// Nodes that autopilot calls stale are ones that KnownServers did not list, which can only
	// be members that were added in between.
	return &autopilot.FailedServers{FailedNonVoters: deadForLong(failed.FailedNonVoters), FailedVoters: deadForLong(failed.FailedVoters)}
}
