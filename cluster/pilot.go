package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	cpb "firescan/cluster/clusterpb"
)

const (
	// mostVoters bounds the voters: more make each write slower and no group safer.
	mostVoters = 5
	// leastVoters are left when dead ones are taken out: two of two are no safer than two
	// of three, and with three the dead one may come back.
	leastVoters = 3
	// mostBehind is how many entries a node may lack and count as well.
	mostBehind = 1000
	// defaultDeadAfter gives a machine the time to be repaired or started again.
	defaultDeadAfter = 10 * time.Minute
)

// pilot tells autopilot how the group is. Autopilot gives nodes that are well a vote, and
// takes those out that are dead for long; it runs while this node leads.
type pilot struct {
	*Cluster
	began time.Time
	ctx   context.Context //nolint:containedctx // that of the term; autopilot gives none
	work  *sync.WaitGroup
}

var _ autopilot.ApplicationIntegration = (*pilot)(nil)

// startPilot runs autopilot until ctx ends; what it answers waits for that.
func (c *Cluster) startPilot(ctx context.Context) (wait func()) {
	var work sync.WaitGroup
	p := &pilot{c, time.Now(), ctx, &work}
	tick := c.config.Timing.Tick
	a := autopilot.New(c.raft, p, autopilot.WithLogger(newLogger(c.logger)), autopilot.WithPromoter(&promoter{pilot: p}),
		autopilot.WithUpdateInterval(tick), autopilot.WithReconcileInterval(2*tick))
	a.Start(ctx)
	return func() {
		<-a.Stop()
		work.Wait()
	}
}

// AutopilotConfig implements autopilot.ApplicationIntegration.
func (p *pilot) AutopilotConfig() *autopilot.Config {
	return &autopilot.Config{
		CleanupDeadServers:      p.config.DeadAfter >= 0,
		LastContactThreshold:    2 * p.config.Timing.Heartbeat,
		MaxTrailingLogs:         mostBehind,
		MinQuorum:               leastVoters,
		ServerStabilizationTime: p.config.Timing.Stable,
	}
}

// NotifyState implements autopilot.ApplicationIntegration.
func (p *pilot) NotifyState(*autopilot.State) {}

// FetchServerStats implements autopilot.ApplicationIntegration.
func (p *pilot) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	var mu sync.Mutex
	stats := map[raft.ServerID]*autopilot.ServerStats{}
	var asking sync.WaitGroup
	for id := range servers {
		asking.Go(func() {
			status, err := p.ask(ctx, string(id))
			if err != nil {
				return
			}
			contact := time.Duration(status.LastContactMs) * time.Millisecond
			mu.Lock()
			defer mu.Unlock()
			stats[id] = &autopilot.ServerStats{LastContact: contact, LastTerm: status.LastLogTerm, LastIndex: status.LastLogIndex}
		})
	}
	asking.Wait()
	return stats
}

// ask is the status of a node, this one included.
func (c *Cluster) ask(ctx context.Context, id string) (*cpb.StatusResponse, error) {
	if id == c.id {
		return c.status(), nil
	}
	return c.peer(id).Status(ctx, &cpb.StatusRequest{})
}

// KnownServers implements autopilot.ApplicationIntegration.
func (p *pilot) KnownServers() map[raft.ServerID]*autopilot.Server {
	known := map[raft.ServerID]*autopilot.Server{}
	for _, s := range p.servers() {
		server := &autopilot.Server{
			ID: s.ID, Name: string(s.ID), Address: s.Address, NodeStatus: autopilot.NodeFailed,
			NodeType: autopilot.NodeVoter, RaftVersion: int(raft.ProtocolVersionMax),
		}
		k, ok := p.contact(string(s.ID))
		if string(s.ID) == p.id || ok && k.alive {
			server.NodeStatus = autopilot.NodeAlive
		}
		server.IsLeader = string(s.ID) == p.id
		known[s.ID] = server
	}
	return known
}

// RemoveFailedServer implements autopilot.ApplicationIntegration.
func (p *pilot) RemoveFailedServer(s *autopilot.Server) {
	p.work.Go(func() {
		p.logger.Warn("a node is gone for too long and leaves the group; it is taken in again when it comes back", "peer", s.ID)
		if err := p.raft.RemoveServer(s.ID, 0, changeWait).Error(); err != nil {
			p.logger.Warn("a dead node could not be taken out of the group; it is tried again", "peer", s.ID, "error", err)
		}
	})
}

// goneLong tells whether a node is dead for so long that it leaves the group. A new
// leader waits the whole time again.
func (p *pilot) goneLong(id raft.ServerID) bool {
	since := p.began
	k, ok := p.contact(string(id))
	if ok && k.alive {
		return false
	}
	if ok && k.since.After(since) {
		since = k.since
	}
	after := p.config.DeadAfter
	if after == 0 {
		after = defaultDeadAfter
	}
	return time.Since(since) >= after
}

// promoter gives nodes a vote as autopilot does, but to at most mostVoters.
type promoter struct {
	autopilot.StablePromoter
	pilot *pilot
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
	changes.Promotions = changes.Promotions[:min(len(changes.Promotions), max(0, mostVoters-voters))]
	return changes
}

// FilterFailedServerRemovals implements autopilot.Promoter.
func (p *promoter) FilterFailedServerRemovals(_ *autopilot.Config, _ *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	long := func(all []*autopilot.Server) (kept []*autopilot.Server) {
		for _, s := range all {
			if p.pilot.goneLong(s.ID) {
				kept = append(kept, s)
			}
		}
		return kept
	}
	// Nodes that autopilot calls stale would be ones that KnownServers did not list, which
	// can only be members that came in between.
	return &autopilot.FailedServers{FailedNonVoters: long(failed.FailedNonVoters), FailedVoters: long(failed.FailedVoters)}
}
