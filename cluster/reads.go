package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"firescan/catalog"
	cpb "firescan/cluster/clusterpb"
)

// applyTimeout bounds how long a node waits until it has applied the leader's index.
const applyTimeout = 10 * time.Second

// reads makes reads of this node's catalog linearizable (the ReadIndex protocol of Raft).
type reads struct {
	members    *members
	leadership *leadership
	catalog    *catalog.Catalog
	raft       *raft.Raft
	log        *logStore
	fsm        *fsm
	inflight   *inflight
	repair     *repair
	batch      readBatch
	tick       time.Duration
	logger     *slog.Logger
	ctx        context.Context //nolint:containedctx // that of the cluster
}

// barrier implements Cluster.Barrier.
func (r *reads) barrier(ctx context.Context) error {
	index, err := retry(ctx, leaderTimeout, retryInterval, func(ctx context.Context) (uint64, bool, error) {
		index, err := r.batch.do(ctx)
		return index, errors.Is(err, ErrNoLeader), err
	})
	if err != nil {
		return noLeaderError(ctx, err)
	}
	return r.waitApplied(ctx, index)
}

// readIndex returns the index that a reader's catalog must have applied.
func (r *reads) readIndex() (uint64, error) {
	ctx, cancel := context.WithTimeoutCause(r.ctx, leaderTimeout, ErrNoLeader)
	defer cancel()
	leader, err := r.leadership.wait(ctx)
	if err != nil {
		return 0, err
	}
	if leader == "" {
		return r.leaderIndex(ctx)
	}
	ctx, cancel = r.leadership.whileLeads(ctx, leader)
	defer cancel()
	response, err := r.members.rpc(leader).Barrier(ctx, &cpb.BarrierRequest{})
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w (get the read index from node %s: %w)", ErrNoLeader, leader, err)
	case response.Failure != cpb.Failure_FAILURE_NONE:
		return 0, fmt.Errorf("%w (node %s: %s)", ErrNoLeader, leader, response.Message)
	}
	return response.Index, nil
}

// leaderIndex is readIndex on the leader. It has applied the commands of earlier terms, and
// all commands that were acknowledged since are committed, so it only has to prove that it
// still leads.
func (r *reads) leaderIndex(ctx context.Context) (uint64, error) {
	if t, _, _ := r.leadership.current(); t == nil {
		return 0, ErrNoLeader
	}
	index, err := r.committedIndex()
	if err != nil {
		return 0, fmt.Errorf("%w (%w)", ErrNoLeader, err) // it has just lost the leadership
	}
	if !r.inflight.add() {
		return 0, ErrClosed
	}
	verified := make(chan error, 1)
	go func() {
		defer r.inflight.done()
		verified <- r.raft.VerifyLeader().Error()
	}()
	select {
	case err := <-verified:
		if err != nil {
			return 0, fmt.Errorf("%w (%w)", ErrNoLeader, err)
		}
		return index, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// committedIndex returns the index of the newest committed command. This node may not have
// applied it yet, while a follower has, and has shown it to a reader.
func (r *reads) committedIndex() (uint64, error) {
	applied := r.catalog.AppliedIndex()
	if r.fsm.full.Load() && len(r.members.servers()) == 1 {
		return applied, nil // no follower can have shown more, and reads go on while the disk is full
	}
	var entry raft.Log
	for index := r.raft.CommitIndex(); index > applied; index-- {
		if err := r.log.GetLog(index, &entry); err != nil {
			return 0, fmt.Errorf("read log entry %d: %w", index, err)
		}
		if entry.Type == raft.LogCommand {
			return index, nil
		}
	}
	return applied, nil
}

// waitApplied waits until this node's catalog has applied index. It gives up early when
// there is no leader for long.
func (r *reads) waitApplied(ctx context.Context, index uint64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, applyTimeout, ErrNoLeader)
	defer cancel()
	var noLeader <-chan time.Time // fires when there was no leader for long
	for {
		applied := r.catalog.Changed()
		_, leader, changed := r.leadership.current()
		if r.catalog.AppliedIndex() >= index {
			return nil
		}
		if leader != "" {
			noLeader = nil
		} else if noLeader == nil {
			noLeader = time.After(leaderTimeout)
		}
		select {
		case <-applied:
		case <-changed:
		case <-r.ctx.Done():
			return ErrClosed
		case <-noLeader:
			return ErrNoLeader
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), ErrNoLeader) {
				return fmt.Errorf("%w (this node has applied entry %d and did not reach %d in time)", ErrNoLeader, r.catalog.AppliedIndex(), index)
			}
			return context.Cause(ctx)
		}
	}
}

// catchUp applies the log of each new leader, for ready, until the cluster closes.
func (r *reads) catchUp() {
	for r.ctx.Err() == nil {
		t, leader, changed := r.leadership.current()
		wait := r.tick
		if t == nil && leader != "" && leader != r.members.id && !r.leadership.hasCaughtUp(leader) {
			if err := r.barrier(r.ctx); err == nil {
				r.leadership.change(func() { r.leadership.caughtUp = leader })
				r.logger.Info("this node has caught up with the leader", "leader", leader)
				continue
			}
			wait /= 10
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-r.ctx.Done():
		}
	}
}

// ready implements Cluster.Ready.
func (r *reads) ready() error {
	switch t, leader, _ := r.leadership.current(); {
	case r.ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrNoLeader, ErrClosed)
	case r.repair.active.Load():
		return errRepairing
	case t != nil:
		return nil
	case r.members.identity.get().Stage != stageMember:
		return fmt.Errorf("%w: this node was not admitted to a cluster yet", ErrNoLeader)
	case r.leadership.inGrace():
		return nil
	case leader == "" || leader == r.members.id:
		return ErrNoLeader
	case !r.leadership.hasCaughtUp(leader):
		return fmt.Errorf("%w: this node has not caught up with the leader yet", ErrNoLeader)
	}
	return nil
}
