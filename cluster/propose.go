package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// Propose brings a command into the log and answers its result when it is applied on
// this node. The error is the catalog's refusal (a *catalog.Error), ErrNoLeader or
// ErrFull when nothing was written, or wraps ErrUnknown.
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
	results, err := c.propose(ctx, [][]byte{entry})
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
	return c.propose(ctx, entries)
}

// propose brings entries into the log, in this order.
func (c *Cluster) propose(ctx context.Context, entries [][]byte) ([]*pb.Result, error) {
	if err := c.leading(ctx); err != nil {
		return nil, err
	}
	if c.fsm.full.Load() {
		return nil, ErrFull
	}
	futures := make([]raft.ApplyFuture, len(entries))
	for i, data := range entries {
		futures[i] = c.raft.Apply(data, leaderWait)
	}
	results := make([]*pb.Result, len(futures))
	done := make(chan error, 1)
	go func() { done <- collect(futures, results) }()
	select {
	case err := <-done:
		return results, err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

// collect waits for all futures, also after one that failed, and answers the first
// error.
func collect(futures []raft.ApplyFuture, results []*pb.Result) (first error) {
	for i, future := range futures {
		err := future.Error()
		switch {
		case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrRaftShutdown):
			err = fmt.Errorf("%w (%w)", ErrNoLeader, err)
		case err != nil:
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		default:
			switch answer := future.Response().(type) {
			case *pb.Result:
				results[i] = answer
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
	return first
}
