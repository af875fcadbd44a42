package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	cpb "firescan/cluster/clusterpb"
)

const (
	// applyWait bounds how long a node waits until it has applied what the leader has.
	applyWait = 10 * time.Second
	// againAfter is how long a request waits before it asks the new leader.
	againAfter = 20 * time.Millisecond
)

// Barrier answers nil when the catalog of this node holds all that was answered to
// any proposer, on any node, before Barrier was called. It writes nothing to the log. When no
// leader is found in time, or this node is cut off from it, its error is ErrNoLeader.
func (c *Cluster) Barrier(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, leaderWait, ErrNoLeader)
	defer cancel()
	for {
		index, err := c.reads.get(limited)
		if err == nil {
			return c.waitApplied(ctx, index)
		}
		if !errors.Is(err, ErrNoLeader) || limited.Err() != nil {
			return noLeaderYet(ctx, err)
		}
		select {
		case <-time.After(againAfter):
		case <-limited.Done():
			return noLeaderYet(ctx, err)
		}
	}
}

// noLeaderYet is the error of a request that found no leader: the caller's own reason,
// when it gave up itself.
func noLeaderYet(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ErrNoLeader), errors.Is(err, ErrClosed):
		return err
	}
	return fmt.Errorf("%w (%w)", ErrNoLeader, err)
}

// readIndex asks the leader how far the catalog must be. Readers who come together share
// the question: see rounds.
func (c *Cluster) readIndex() (uint64, error) {
	ctx, cancel := context.WithTimeoutCause(c.ctx, leaderWait, ErrNoLeader)
	defer cancel()
	leader, err := c.whoLeads(ctx)
	if err != nil {
		return 0, err
	}
	if leader == "" {
		return c.ownIndex(ctx)
	}
	ctx, cancel = c.whileLeading(ctx, leader)
	defer cancel()
	answer, err := c.peer(leader).Barrier(ctx, &cpb.BarrierRequest{})
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w (ask node %s: %w)", ErrNoLeader, leader, err)
	case answer.Failure != cpb.Failure_FAILURE_NONE:
		return 0, fmt.Errorf("%w (node %s: %s)", ErrNoLeader, leader, answer.Message)
	}
	return answer.Index, nil
}

// ownIndex is how far a reader must be, if this node leads: it knows what was committed
// before its term, and all that was answered since is committed. So all there is to prove is
// that it leads still.
func (c *Cluster) ownIndex(ctx context.Context) (uint64, error) {
	if t, _, _ := c.leads(); t == nil {
		return 0, ErrNoLeader
	}
	index, err := c.committed()
	if err != nil {
		return 0, fmt.Errorf("%w (%w)", ErrNoLeader, err) // it has just lost the leadership
	}
	if !c.asking.enter() {
		return 0, ErrClosed
	}
	proof := make(chan error, 1)
	go func() {
		defer c.asking.leave()
		proof <- c.raft.VerifyLeader().Error()
	}()
	select {
	case err := <-proof:
		if err != nil {
			return 0, fmt.Errorf("%w (%w)", ErrNoLeader, err)
		}
		return index, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// committed is the index of the newest command that is committed, also when this node,
// which leads, has not applied it yet: another one may have, and have shown it to a reader.
func (c *Cluster) committed() (uint64, error) {
	applied := c.catalog.AppliedIndex()
	if c.fsm.full.Load() && len(c.servers()) == 1 {
		return applied, nil // there is nobody else, and reads go on while the disk is full
	}
	var entry raft.Log
	for index := c.raft.CommitIndex(); index > applied; index-- {
		if err := c.log.GetLog(index, &entry); err != nil {
			return 0, fmt.Errorf("read entry %d of the log: %w", index, err)
		}
		if entry.Type == raft.LogCommand {
			return index, nil
		}
	}
	return applied, nil
}

// waitApplied waits until the catalog of this node is as far as index. It gives up early
// when there is no leader for long, who would send what is missing.
func (c *Cluster) waitApplied(ctx context.Context, index uint64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, applyWait, ErrNoLeader)
	defer cancel()
	var lonely <-chan time.Time // rings when there was no leader for long
	for {
		applied := c.catalog.Changed()
		_, leader, changed := c.leads()
		if c.catalog.AppliedIndex() >= index {
			return nil
		}
		if leader != "" {
			lonely = nil
		} else if lonely == nil {
			lonely = time.After(leaderWait)
		}
		select {
		case <-applied:
		case <-changed:
		case <-c.ctx.Done():
			return ErrClosed
		case <-lonely:
			return ErrNoLeader
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), ErrNoLeader) {
				return fmt.Errorf("%w (this node has applied entry %d and did not reach %d in time)", ErrNoLeader, c.catalog.AppliedIndex(), index)
			}
			return context.Cause(ctx)
		}
	}
}

// whileLeading gives a context that ends soon after this node no longer takes leader for
// the one that leads, or has not heard of it for long: an answer may not come any more. A
// leader that steps down still answers, and gets the time to.
func (c *Cluster) whileLeading(ctx context.Context, leader string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		look := time.NewTicker(c.config.Timing.Heartbeat / 4)
		defer look.Stop()
		for {
			_, now, changed := c.leads()
			if now != leader {
				select {
				case <-time.After(c.config.Timing.Heartbeat / 2):
					cancel(ErrNoLeader)
				case <-ctx.Done():
				}
				return
			}
			// Raft itself notices after up to three times as long as it waits for a heartbeat.
			if time.Since(c.raft.LastContact()) > 2*c.config.Timing.Heartbeat {
				cancel(ErrNoLeader)
				return
			}
			select {
			case <-changed:
			case <-look.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// catchUp keeps caughtUp, which Ready tells, until the cluster closes.
func (c *Cluster) catchUp() {
	for c.ctx.Err() == nil {
		t, leader, changed := c.leads()
		again := c.config.Timing.Tick
		if t == nil && leader != "" && leader != c.id && !c.hasCaughtUp(leader) {
			if err := c.Barrier(c.ctx); err == nil {
				c.change(func() { c.caughtUp = leader })
				c.logger.Info("this node has caught up with the leader", "leader", leader)
				continue
			}
			again /= 10
		}
		select {
		case <-changed:
		case <-time.After(again):
		case <-c.ctx.Done():
		}
	}
}

func (c *Cluster) hasCaughtUp(leader string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.caughtUp == leader
}

// Ready answers nil when this node knows a leader and has applied what it committed
// before.
func (c *Cluster) Ready() error {
	switch t, leader, _ := c.leads(); {
	case t != nil:
		return nil
	case c.identity.get().Stage != stageMember:
		return fmt.Errorf("%w: this node has not been taken into a cluster yet", ErrNoLeader)
	case leader == "" || leader == c.id:
		return ErrNoLeader
	case !c.hasCaughtUp(leader):
		return fmt.Errorf("%w: this node has not caught up with the leader yet", ErrNoLeader)
	}
	return nil
}
