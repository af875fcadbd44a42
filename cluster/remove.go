package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	cpb "firescan/cluster/clusterpb"
)

// ErrRefused is returned by Remove when it is not possible as things are; the message says why.
var ErrRefused = errors.New("not possible")

// errRemoved is why a node stops that was removed.
var errRemoved = errors.New("this node was removed from its cluster and stops; to let it join again, remove its data directory and start it")

// Remove takes a node out of the group for good, through the leader. A node that runs is
// told to stop; a node that comes back later is told, too, unless its data
// directory is a new one. It is refused when too few voters that are alive would remain.
func (c *Cluster) Remove(ctx context.Context, id string) error {
	limited, cancel := context.WithTimeoutCause(ctx, leaderWait+2*changeWait, ErrNoLeader)
	defer cancel()
	for {
		leader, err := c.whoLeads(limited)
		if err != nil {
			return noLeaderYet(ctx, err)
		}
		if leader == "" {
			err = c.remove(limited, id)
		} else {
			var answer *cpb.RemoveResponse
			if answer, err = c.peer(leader).Remove(limited, &cpb.RemoveRequest{Id: id}); err == nil {
				err = removed(answer)
			}
		}
		if err == nil || errors.Is(err, ErrRefused) || limited.Err() != nil {
			return err
		}
		// Removing a node twice is as good as once, so that it may be tried again.
		select {
		case <-time.After(10 * againAfter):
		case <-limited.Done():
			return noLeaderYet(ctx, err)
		}
	}
}

func removed(answer *cpb.RemoveResponse) error {
	switch answer.Failure {
	case cpb.Failure_FAILURE_NONE:
		return nil
	case cpb.Failure_FAILURE_REFUSED:
		return fmt.Errorf("%w: %s", ErrRefused, strings.TrimPrefix(answer.Message, ErrRefused.Error()+": "))
	}
	return fmt.Errorf("%w (%s)", ErrNoLeader, answer.Message)
}

// remove is Remove on the leader.
func (c *Cluster) remove(ctx context.Context, id string) error {
	if t, _, _ := c.leads(); t == nil {
		return ErrNoLeader
	}
	servers := c.servers()
	at := slices.IndexFunc(servers, func(s raft.Server) bool { return string(s.ID) == id })
	if at < 0 {
		return fmt.Errorf("%w: there is no node %q in the cluster", ErrRefused, id)
	}
	if err := c.enoughWithout(servers, id); err != nil {
		return err
	}
	if id == c.id {
		// Another leader does it: one cannot lead a group and leave it.
		if err := c.raft.LeadershipTransfer().Error(); err != nil {
			return fmt.Errorf("%w: hand over the leadership first: %w", ErrNoLeader, err)
		}
		return ErrNoLeader
	}
	instance := ""
	if k, ok := c.contact(id); ok {
		instance = k.meta.Instance
	}
	// All nodes note it, since any of them may lead when the node comes back.
	c.dismiss(ctx, servers, id, instance)
	if err := c.raft.RemoveServer(raft.ServerID(id), 0, changeWait).Error(); err != nil {
		return fmt.Errorf("%w: take node %s out of the group: %w", ErrNoLeader, id, err)
	}
	c.logger.Info("a node was removed from the cluster", "peer", id)
	if _, err := c.peer(id).Dismiss(ctx, &cpb.DismissRequest{ClusterId: c.identity.get().Cluster, Id: id, Instance: instance}); err != nil {
		c.logger.Info("the node that was removed could not be told; it is when it comes back", "peer", id, "error", err)
	}
	return nil
}

// enoughWithout refuses to remove a voter without which there would be no majority.
func (c *Cluster) enoughWithout(servers []raft.Server, id string) error {
	voters, alive := 0, 0
	removes := false
	for _, s := range servers {
		switch {
		case s.Suffrage != raft.Voter:
		case string(s.ID) == id:
			removes = true
		default:
			voters++
			if k, ok := c.contact(string(s.ID)); string(s.ID) == c.id || ok && k.alive {
				alive++
			}
		}
	}
	switch {
	case !removes:
		return nil
	case voters == 0:
		return fmt.Errorf("%w: %s is the only voter", ErrRefused, id)
	case alive < voters/2+1:
		return fmt.Errorf("%w: without node %s only %d of %d voters would be alive, which is no majority; start the others first", ErrRefused, id, alive, voters)
	}
	return nil
}

// dismiss tells the other members that a node was removed.
func (c *Cluster) dismiss(ctx context.Context, servers []raft.Server, id, instance string) {
	if instance == "" {
		return // it was never seen since this node started: nothing tells it from a new one
	}
	r := &cpb.DismissRequest{ClusterId: c.identity.get().Cluster, Id: id, Instance: instance}
	c.noteDismissed(r)
	for _, s := range servers {
		if string(s.ID) == id || string(s.ID) == c.id {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, askWait)
		if _, err := c.peer(string(s.ID)).Dismiss(ctx, r); err != nil {
			c.logger.Info("a member could not be told that another one is removed", "peer", s.ID, "removed", id, "error", err)
		}
		cancel()
	}
}

// noteDismissed remembers a node that was removed, so that it is not taken in again.
func (c *Cluster) noteDismissed(r *cpb.DismissRequest) {
	err := c.identity.update(func(i *identity) error {
		if r.Instance == "" || slices.Contains(i.Dismissed, r.Instance) {
			return errNothing
		}
		i.Dismissed = append(i.Dismissed, r.Instance)
		i.Dismissed = i.Dismissed[max(0, len(i.Dismissed)-maxDismissed):]
		return nil
	})
	if err != nil && !errors.Is(err, errNothing) {
		c.logger.Warn("that a node was removed could not be noted", "peer", r.Id, "error", err)
	}
}

// Remove implements the RPC.
func (s service) Remove(ctx context.Context, r *cpb.RemoveRequest) (*cpb.RemoveResponse, error) {
	switch err := s.remove(ctx, r.Id); {
	case err == nil:
		return &cpb.RemoveResponse{}, nil
	case errors.Is(err, ErrRefused):
		return &cpb.RemoveResponse{Failure: cpb.Failure_FAILURE_REFUSED, Message: err.Error()}, nil
	default:
		return &cpb.RemoveResponse{Failure: cpb.Failure_FAILURE_NO_LEADER, Message: err.Error()}, nil
	}
}

// Dismiss implements the RPC: it is about this node, or about another one.
func (s service) Dismiss(_ context.Context, r *cpb.DismissRequest) (*cpb.DismissResponse, error) {
	me := s.identity.get()
	switch {
	case r.ClusterId != me.Cluster:
	case r.Id != s.id:
		s.noteDismissed(r)
	case r.Instance == "" || r.Instance == me.Instance:
		if err := s.identity.update(func(i *identity) error {
			i.Removed = true
			return nil
		}); err != nil {
			s.logger.Error("that this node was removed could not be noted", "error", err)
		}
		s.fail(errRemoved)
	}
	return &cpb.DismissResponse{}, nil
}
