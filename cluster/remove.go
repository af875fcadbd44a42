package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	cpb "firescan/cluster/clusterpb"
)

// maxDismissed bounds the removed nodes that the identity records.
const maxDismissed = 100

// removal removes nodes from the cluster for good.
type removal struct {
	members    *members
	leadership *leadership
	identity   *identityFile
	raft       *raft.Raft
	logger     *slog.Logger
	fail       func(error)
}

// remove implements Cluster.Remove.
func (r *removal) remove(ctx context.Context, id string) error {
	_, err := retry(ctx, leaderTimeout+2*changeTimeout, 10*retryInterval, func(ctx context.Context) (_ struct{}, again bool, err error) {
		leader, err := r.leadership.wait(ctx)
		if err != nil {
			return struct{}{}, false, err
		}
		if leader == "" {
			err = r.removeAsLeader(ctx, id)
		} else {
			var response *cpb.RemoveResponse
			if response, err = r.members.rpc(leader).Remove(ctx, &cpb.RemoveRequest{Id: id}); err == nil {
				err = removeError(response)
			}
		}
		// Removing a node twice has no further effect.
		return struct{}{}, !errors.Is(err, ErrRefused), err
	})
	if err != nil && !errors.Is(err, ErrRefused) {
		return noLeaderError(ctx, err)
	}
	return err
}

// removeError returns the error of this node for the leader's response.
func removeError(response *cpb.RemoveResponse) error {
	switch response.Failure {
	case cpb.Failure_FAILURE_NONE:
		return nil
	case cpb.Failure_FAILURE_REFUSED:
		return fmt.Errorf("%w: %s", ErrRefused, strings.TrimPrefix(response.Message, ErrRefused.Error()+": "))
	}
	return fmt.Errorf("%w (%s)", ErrNoLeader, response.Message)
}

func (r *removal) removeAsLeader(ctx context.Context, id string) error {
	if t, _, _ := r.leadership.current(); t == nil {
		return ErrNoLeader
	}
	servers := r.members.servers()
	if !slices.ContainsFunc(servers, func(s raft.Server) bool { return string(s.ID) == id }) {
		return fmt.Errorf("%w: there is no node %q in the cluster", ErrRefused, id)
	}
	if err := r.checkQuorumWithout(servers, id); err != nil {
		return err
	}
	if id == r.members.id {
		// The next leader does it: a leader cannot remove itself and confirm it.
		if err := r.raft.LeadershipTransfer().Error(); err != nil {
			return fmt.Errorf("%w: transfer the leadership first: %w", ErrNoLeader, err)
		}
		return ErrNoLeader
	}
	request := &cpb.DismissRequest{ClusterId: r.identity.get().Cluster, Id: id}
	if c, ok := r.members.contact(id); ok {
		request.Instance = c.meta.Instance
	}
	// All members record it, since any of them may lead when the node comes back.
	r.notifyMembers(ctx, servers, request)
	if err := r.raft.RemoveServer(raft.ServerID(id), 0, changeTimeout).Error(); err != nil {
		return fmt.Errorf("%w: remove node %s: %w", ErrNoLeader, id, err)
	}
	r.logger.Info("node removed from the cluster", "peer", id)
	if _, err := r.members.rpc(id).Dismiss(ctx, request); err != nil {
		r.logger.Info("the removed node was not notified; it will be when it comes back", "peer", id, "error", err)
	}
	return nil
}

// checkQuorumWithout returns an error if no majority would be alive without a node.
func (r *removal) checkQuorumWithout(servers []raft.Server, id string) error {
	voters, alive := 0, 0
	isVoter := false
	for _, s := range servers {
		switch {
		case s.Suffrage != raft.Voter:
		case string(s.ID) == id:
			isVoter = true
		default:
			voters++
			if c, ok := r.members.contact(string(s.ID)); string(s.ID) == r.members.id || ok && c.alive {
				alive++
			}
		}
	}
	switch {
	case !isVoter:
		return nil
	case voters == 0:
		return fmt.Errorf("%w: %s is the only voter", ErrRefused, id)
	case alive < voters/2+1:
		return fmt.Errorf("%w: without node %s only %d of %d voters would be alive, which is no majority; start the others first", ErrRefused, id, alive, voters)
	}
	return nil
}

// notifyMembers lets all other members record that a node is removed.
func (r *removal) notifyMembers(ctx context.Context, servers []raft.Server, request *cpb.DismissRequest) {
	if request.Instance == "" {
		return // not seen since this node started: nothing distinguishes it from a new node
	}
	r.record(request)
	for _, s := range servers {
		if string(s.ID) == request.Id || string(s.ID) == r.members.id {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
		if _, err := r.members.rpc(string(s.ID)).Dismiss(ctx, request); err != nil {
			r.logger.Info("a member was not notified that another one is removed", "peer", s.ID, "removed", request.Id, "error", err)
		}
		cancel()
	}
}

// record records a removed node, so that it is not added again.
func (r *removal) record(request *cpb.DismissRequest) {
	err := r.identity.update(func(i *identity) error {
		if request.Instance == "" || slices.Contains(i.Dismissed, request.Instance) {
			return errUnchanged
		}
		i.Dismissed = append(i.Dismissed, request.Instance)
		i.Dismissed = i.Dismissed[max(0, len(i.Dismissed)-maxDismissed):]
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		r.logger.Warn("recording a removed node failed", "peer", request.Id, "error", err)
	}
}

// dismiss handles the notification that this node, or another one, was removed.
func (r *removal) dismiss(request *cpb.DismissRequest) {
	self := r.identity.get()
	switch {
	case request.ClusterId != self.Cluster:
	case request.Id != r.members.id:
		r.record(request)
	case request.Instance == "" || request.Instance == self.Instance:
		if err := r.identity.update(func(i *identity) error {
			i.Removed = true
			return nil
		}); err != nil {
			r.logger.Error("recording that this node was removed failed", "error", err)
		}
		r.fail(errRemoved)
	}
}
