package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	pb "firescan/catalog/catalogpb"
	cpb "firescan/cluster/clusterpb"
	"firescan/cluster/transport"
)

const (
	// proposeTimeout bounds how long a command in the log waits for its result.
	proposeTimeout = 30 * time.Second
	// maxForward bounds the commands that are forwarded in one request, in bytes.
	maxForward = 8 << 20
)

// proposer appends commands to the log, through the leader.
type proposer struct {
	members    *members
	leadership *leadership
	reads      *reads
	raft       *raft.Raft
	fsm        *fsm
	inflight   *inflight
	freeze     *freezeDetector
	ctx        context.Context //nolint:containedctx // that of the cluster
}

// propose appends encoded commands to the log. As long as nothing was written, or the
// commands take effect once only, it retries with the next leader. It does not append
// commands that have waited in a frozen process.
func (p *proposer) propose(ctx context.Context, entries [][]byte, once bool) ([]*pb.Result, error) {
	began := time.Now()
	results, err := retry(ctx, leaderTimeout, retryInterval, func(limited context.Context) (results []*pb.Result, again bool, err error) {
		leader, err := p.leadership.wait(limited)
		if err != nil {
			return nil, false, noLeaderError(ctx, err)
		}
		if p.fsm.full.Load() {
			return nil, false, ErrFull
		}
		if leader == "" {
			results, _, err = p.apply(ctx, began, entries)
		} else if err = p.late(ctx, began); err == nil {
			results, err = p.forward(ctx, leader, entries)
		}
		if errors.Is(err, errLate) {
			return nil, false, err
		}
		return results, errors.Is(err, ErrNoLeader) && len(results) == 0 || once && errors.Is(err, ErrUnknown), err
	})
	if errors.Is(err, ErrNoLeader) && len(results) == 0 {
		return nil, noLeaderError(ctx, err)
	}
	return results, err
}

// errLate is returned when a command has waited too long to be appended: a newer one may
// have been acknowledged since.
var errLate = fmt.Errorf("%w: this node was frozen while the change waited; nothing was written, send it again", ErrNoLeader)

// late returns why commands that were proposed at a time must not be appended any more: the
// proposer has given up, or its node was frozen since.
func (p *proposer) late(ctx context.Context, began time.Time) error {
	end, limited := ctx.Deadline()
	switch {
	case p.freeze.since(began):
		return errLate
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited && !time.Now().Before(end): // its timer may be behind
		return context.DeadlineExceeded
	}
	return nil
}

// apply appends commands that were proposed at a time to the log of this node, which leads,
// and returns their results and the index of the last. With an error that wraps ErrNoLeader,
// results is empty if nothing was written.
func (p *proposer) apply(ctx context.Context, began time.Time, entries [][]byte) ([]*pb.Result, uint64, error) {
	if !p.inflight.add() {
		return nil, 0, fmt.Errorf("%w (%w)", ErrNoLeader, ErrClosed)
	}
	if err := p.late(ctx, began); err != nil {
		p.inflight.done()
		return nil, 0, err
	}
	futures := make([]raft.ApplyFuture, len(entries))
	for i, data := range entries {
		futures[i] = p.raft.Apply(data, leaderTimeout)
	}
	type outcome struct {
		results []*pb.Result
		index   uint64
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		defer p.inflight.done()
		results, err := collectResults(futures)
		index := uint64(0)
		if err == nil && len(futures) > 0 {
			index = futures[len(futures)-1].Index()
		}
		done <- outcome{results, index, err}
	}()
	timer := time.NewTimer(proposeTimeout)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.results, o.index, o.err
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	case <-p.ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, ErrClosed)
	case <-timer.C:
		return nil, 0, fmt.Errorf("%w: it was not applied within %v", ErrUnknown, proposeTimeout)
	}
}

// collectResults waits for all futures, and returns their results and the first error.
// When nothing was written, the results are nil.
func collectResults(futures []raft.ApplyFuture) (results []*pb.Result, first error) {
	all, written := make([]*pb.Result, len(futures)), false
	for i, future := range futures {
		err := future.Error()
		switch {
		// Not ErrRaftShutdown: Raft returns it for written entries, too.
		case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
			err = fmt.Errorf("%w (%w)", ErrNoLeader, err)
		case err != nil:
			written = true
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		default:
			written = true
			switch response := future.Response().(type) {
			case *pb.Result:
				all[i] = response
			case error:
				err = response
			default:
				err = fmt.Errorf("the state machine returned %T", response)
			}
		}
		if first == nil {
			first = err
		}
	}
	if first != nil && !written {
		return nil, first
	}
	return all, first
}

// forward sends commands to the leader, and waits until this node has applied them. With an
// error that wraps ErrNoLeader, results is empty if nothing was written.
func (p *proposer) forward(ctx context.Context, leader string, entries [][]byte) (results []*pb.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	request, stop := p.leadership.whileLeads(ctx, leader)
	defer stop()
	var index uint64
	for len(entries) > 0 {
		size, n := 0, 0
		for n < len(entries) && (n == 0 || size+len(entries[n]) <= maxForward) {
			size += len(entries[n])
			n++
		}
		response, err := p.members.rpc(leader).Propose(request, &cpb.ProposeRequest{Entries: entries[:n]})
		if err = forwardError(leader, response, err); err != nil {
			return results, err
		}
		if len(response.Results) != n {
			return results, fmt.Errorf("%w: node %s returned %d results for %d commands", ErrUnknown, leader, len(response.Results), n)
		}
		results, index, entries = append(results, response.Results...), response.Index, entries[n:]
	}
	// The next read on this node must see the commands.
	if err := p.reads.waitApplied(ctx, index); err != nil {
		return results, fmt.Errorf("%w: it was committed, and this node has not applied it yet: %w", ErrUnknown, err)
	}
	return results, nil
}

// forwardError returns the error of this node for the leader's response.
func forwardError(leader string, response *cpb.ProposeResponse, err error) error {
	if err != nil {
		if _, unsent := errors.AsType[*transport.DialError](err); unsent {
			return fmt.Errorf("%w (node %s: %w)", ErrNoLeader, leader, err)
		}
		return fmt.Errorf("%w: forward it to node %s: %w", ErrUnknown, leader, err)
	}
	kind, known := map[cpb.Failure]error{
		cpb.Failure_FAILURE_NONE: nil, cpb.Failure_FAILURE_NO_LEADER: ErrNoLeader, cpb.Failure_FAILURE_FULL: ErrFull,
	}[response.Failure]
	switch {
	case !known:
		return fmt.Errorf("%w: node %s: %s", ErrUnknown, leader, response.Message)
	case kind != nil:
		return fmt.Errorf("%w (node %s: %s)", kind, leader, response.Message)
	}
	return nil
}
