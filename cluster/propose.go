package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	cpb "firescan/cluster/clusterpb"
)

const (
	// proposeWait bounds how long a command that is in the log waits for its result.
	proposeWait = 30 * time.Second
	// maxForward bounds the commands that are forwarded in one request, in bytes.
	maxForward = 8 << 20
)

// Propose brings a command into the log, through the leader, and answers its result when
// it is applied on this node. The error is the catalog's refusal (a *catalog.Error), ErrNoLeader
// or ErrFull when nothing was written, or wraps ErrUnknown.
func (c *Cluster) Propose(ctx context.Context, command proto.Message) (*pb.Result, error) {
	results, err := c.ProposeAll(ctx, []proto.Message{command})
	if err != nil {
		return nil, err
	}
	return results[0], catalog.ResultError(results[0])
}

// ProposeOnce is Propose for a command that takes effect once for the key of once, however
// often it is proposed: each time the answer is the result of the first.
func (c *Cluster) ProposeOnce(ctx context.Context, command proto.Message, once *pb.Once) (*pb.Result, error) {
	entry, err := catalog.EncodeOnce(command, once)
	if err != nil {
		return nil, err
	}
	results, err := c.propose(ctx, [][]byte{entry}, true)
	if err != nil {
		return nil, err
	}
	return results[0], catalog.ResultError(results[0])
}

// ProposeAll brings commands into the log in this order, and answers the result of
// each when all are applied. They reach the catalog together, which applies them
// in one transaction where it can: for many small changes a fraction of the price. A
// refusal is in the result; after an error as of Propose, the commands before
// the one that failed may have been carried out.
func (c *Cluster) ProposeAll(ctx context.Context, commands []proto.Message) ([]*pb.Result, error) {
	entries := make([][]byte, len(commands))
	for i, command := range commands {
		var err error
		if entries[i], err = catalog.Encode(command); err != nil {
			return nil, err
		}
	}
	return c.propose(ctx, entries, false)
}

// propose brings encoded commands into the log. As long as it is certain that nothing was
// written, or that writing it once more does nothing, it looks for another leader.
func (c *Cluster) propose(ctx context.Context, entries [][]byte, once bool) ([]*pb.Result, error) {
	limited, cancel := context.WithTimeoutCause(ctx, leaderWait, ErrNoLeader)
	defer cancel()
	for {
		leader, err := c.whoLeads(limited)
		if err != nil {
			return nil, noLeaderYet(ctx, err)
		}
		if c.fsm.full.Load() {
			return nil, ErrFull
		}
		var results []*pb.Result
		if leader == "" {
			results, _, err = c.apply(ctx, entries)
		} else {
			results, err = c.forward(ctx, leader, entries)
		}
		again := errors.Is(err, ErrNoLeader) && len(results) == 0 || once && errors.Is(err, ErrUnknown)
		if !again || limited.Err() != nil {
			return results, err
		}
		select {
		case <-time.After(againAfter):
		case <-limited.Done():
			return nil, noLeaderYet(ctx, err)
		}
	}
}

// apply brings commands into the log of this node, which leads, and answers the index of
// the last. With an error that wraps ErrNoLeader, results tells whether any
// was written after all: then it is not empty.
func (c *Cluster) apply(ctx context.Context, entries [][]byte) ([]*pb.Result, uint64, error) {
	if !c.asking.enter() {
		return nil, 0, fmt.Errorf("%w (%w)", ErrNoLeader, ErrClosed)
	}
	futures := make([]raft.ApplyFuture, len(entries))
	for i, data := range entries {
		futures[i] = c.raft.Apply(data, leaderWait)
	}
	type outcome struct {
		results []*pb.Result
		index   uint64
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		defer c.asking.leave()
		results, err := collect(futures)
		index := uint64(0)
		if err == nil && len(futures) > 0 {
			index = futures[len(futures)-1].Index()
		}
		done <- outcome{results, index, err}
	}()
	timer := time.NewTimer(proposeWait)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.results, o.index, o.err
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	case <-c.ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, ErrClosed)
	case <-timer.C:
		return nil, 0, fmt.Errorf("%w: it was not applied within %v", ErrUnknown, proposeWait)
	}
}

// collect waits for all futures, also after one that failed, and answers the first
// error. If that says that nothing was written, the results are nil unless others were.
func collect(futures []raft.ApplyFuture) (results []*pb.Result, first error) {
	all, written := make([]*pb.Result, len(futures)), false
	for i, future := range futures {
		err := future.Error()
		switch {
		// Not ErrRaftShutdown: raft says that of what it has written, too.
		case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
			err = fmt.Errorf("%w (%w)", ErrNoLeader, err)
		case err != nil:
			written = true
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		default:
			written = true
			switch answer := future.Response().(type) {
			case *pb.Result:
				all[i] = answer
			case error:
				err = answer
			default:
				err = fmt.Errorf("the state machine answered %T", answer)
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

// forward has the leader bring commands into the log, and waits until this node has
// applied them. With an error that wraps ErrNoLeader, results is empty if nothing
// was written.
func (c *Cluster) forward(ctx context.Context, leader string, entries [][]byte) (results []*pb.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, proposeWait)
	defer cancel()
	asking, stop := c.whileLeading(ctx, leader)
	defer stop()
	var index uint64
	for len(entries) > 0 {
		size, n := 0, 0
		for n < len(entries) && (n == 0 || size+len(entries[n]) <= maxForward) {
			size += len(entries[n])
			n++
		}
		answer, err := c.peer(leader).Propose(asking, &cpb.ProposeRequest{Entries: entries[:n]})
		if err = forwarded(leader, answer, err); err != nil {
			return results, err
		}
		if len(answer.Results) != n {
			return results, fmt.Errorf("%w: node %s answered %d of %d commands", ErrUnknown, leader, len(answer.Results), n)
		}
		results, index, entries = append(results, answer.Results...), answer.Index, entries[n:]
	}
	// Who reads here next shall see what was written.
	if err := c.waitApplied(ctx, index); err != nil {
		return results, fmt.Errorf("%w: it was carried out, and this node does not hold it yet: %w", ErrUnknown, err)
	}
	return results, nil
}

// forwarded gives the leader's answer its meaning here.
func forwarded(leader string, answer *cpb.ProposeResponse, err error) error {
	if err != nil {
		if _, unsent := errors.AsType[*dialError](err); unsent {
			return fmt.Errorf("%w (node %s: %w)", ErrNoLeader, leader, err)
		}
		return fmt.Errorf("%w: ask node %s: %w", ErrUnknown, leader, err)
	}
	kind, known := map[cpb.Failure]error{
		cpb.Failure_FAILURE_NONE: nil, cpb.Failure_FAILURE_NO_LEADER: ErrNoLeader, cpb.Failure_FAILURE_FULL: ErrFull,
	}[answer.Failure]
	switch {
	case !known:
		return fmt.Errorf("%w: node %s: %s", ErrUnknown, leader, answer.Message)
	case kind != nil:
		return fmt.Errorf("%w (node %s: %s)", kind, leader, answer.Message)
	}
	return nil
}
