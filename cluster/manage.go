package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	cpb "firescan/cluster/clusterpb"
)

// changeWait bounds how long a change of the group may wait for its turn.
const changeWait = 5 * time.Second

// manage does the leader's work on the group, until its term ends: it takes in the nodes
// that gossip has found. It looks again and again at how things are
// rather than at what happened, so that nothing is missed.
func (c *Cluster) manage(t *term) {
	c.work.Go(func() {
		_ = t.run(c.ctx, func(ctx context.Context) error {
			if c.port == nil {
				return nil
			}
			stop := c.startPilot(ctx)
			defer stop()
			tick := time.NewTicker(c.config.Timing.Tick)
			defer tick.Stop()
			for {
				changed := c.gossip.changes()
				for ctx.Err() == nil {
					acted, err := c.arrange(ctx)
					if err != nil && ctx.Err() == nil && c.told.now("arrange "+err.Error()) {
						c.logger.Warn("a change of the group failed; it is tried again", "error", err)
					}
					if !acted || err != nil {
						break
					}
				}
				select {
				case <-changed:
				case <-tick.C:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		})
	})
}

// arrange makes one change of the group that is due, and tells whether there was one.
func (c *Cluster) arrange(ctx context.Context) (acted bool, err error) {
	members := map[string]bool{}
	for _, s := range c.servers() {
		members[string(s.ID)] = true
	}
	var failed error
	for id, k := range c.gossip.known() {
		if !k.alive || k.meta.ClusterAddress == "" || !c.ours(k.meta) {
			continue
		}
		switch {
		case k.meta.ClusterId == "":
			acted, err = false, c.admit(ctx, id, members[id])
		case !members[id]:
			acted, err = c.takeIn(ctx, id, k)
		default:
			continue
		}
		if err != nil {
			failed = fmt.Errorf("node %s: %w", id, err)
			continue
		}
		if acted {
			return true, nil
		}
	}
	return false, failed
}

// admit makes a fresh node a node of this cluster; it is taken in when it says that it is
// one. If the group knows its id, that was a node whose disk is lost: the new
// one must not vote as if it remembered, so that it leaves the group first. Gossip may
// be late, so the node is asked.
func (c *Cluster) admit(ctx context.Context, id string, member bool) error {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	status, err := c.peer(id).Status(ctx, &cpb.StatusRequest{})
	if err != nil {
		return fmt.Errorf("ask how it is: %w", err)
	}
	mine := c.identity.get().Cluster
	if !status.Fresh || status.Id != id || status.ClusterId == mine { // the last has promised itself
		return nil
	}
	if member {
		c.logger.Warn("a member came back without its data: it leaves the group and joins anew", "peer", id)
		if err := c.raft.RemoveServer(raft.ServerID(id), 0, changeWait).Error(); err != nil {
			return fmt.Errorf("take it out, since it came back without its data: %w", err)
		}
	}
	answer, err := c.peer(id).Admit(ctx, &cpb.AdmitRequest{ClusterId: mine, Leader: c.id})
	if err != nil {
		return fmt.Errorf("admit it: %w", err)
	}
	if answer.Refusal != "" {
		return fmt.Errorf("it does not let itself be admitted: %s", answer.Refusal)
	}
	return c.addNonvoter(id)
}

// takeIn makes a node of this cluster a nonvoting member: one that was just admitted, or that
// was gone for so long that it was taken out.
func (c *Cluster) takeIn(ctx context.Context, id string, k contact) (bool, error) {
	if me := c.identity.get(); slices.Contains(me.Dismissed, k.meta.Instance) {
		ctx, cancel := context.WithTimeout(ctx, askWait)
		defer cancel()
		_, err := c.peer(id).Dismiss(ctx, &cpb.DismissRequest{ClusterId: me.Cluster, Id: id, Instance: k.meta.Instance})
		return false, err
	}
	return true, c.addNonvoter(id)
}

func (c *Cluster) addNonvoter(id string) error {
	c.logger.Info("a node joins the group", "peer", id)
	s := server(id)
	if err := c.raft.AddNonvoter(s.ID, s.Address, 0, changeWait).Error(); err != nil {
		return fmt.Errorf("take it in: %w", err)
	}
	return nil
}

// Admit implements the RPC.
func (s service) Admit(_ context.Context, r *cpb.AdmitRequest) (*cpb.AdmitResponse, error) {
	me := s.identity.get()
	switch {
	case r.ClusterId == "":
		return &cpb.AdmitResponse{Refusal: "no cluster is named"}, nil
	case me.Stage == stageMember && me.Cluster == r.ClusterId:
		return &cpb.AdmitResponse{}, nil
	case me.Stage != stageFresh:
		return &cpb.AdmitResponse{Refusal: fmt.Sprintf("it is %s", me.Stage)}, nil
	}
	if err := s.becomeMember(r.ClusterId); err != nil {
		return &cpb.AdmitResponse{Refusal: err.Error()}, nil //nolint:nilerr // told in the answer
	}
	return &cpb.AdmitResponse{}, nil
}
