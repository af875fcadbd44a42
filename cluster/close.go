package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// handOverWait bounds how long a leader that stops looks for another one.
	handOverWait = 3 * time.Second
	// answerWait bounds how long requests of other nodes that are under way may take then.
	answerWait = time.Second
	// closeWait bounds how long raft may take to stop: on a disk that hangs it never does.
	closeWait = 10 * time.Second
)

// Close hands over the leadership, tells the others that this node stops, and closes the
// log. The node stays a member. Commands under way end with ErrUnknown or ErrNoLeader. It takes
// at most some seconds, also when the disk hangs.
func (c *Cluster) Close() error {
	c.closing.Do(func() { c.closeErr = c.close(true) })
	return c.closeErr
}

// close stops the node, with a farewell or as if it had crashed.
func (c *Cluster) close(farewell bool) error {
	var errs []error
	if farewell && c.port != nil && c.ctx.Err() == nil {
		c.handOver()
		if c.gossip.list != nil {
			if err := c.gossip.leave(); err != nil {
				c.logger.Info("not all nodes know that this one stops", "error", err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerWait)
		_ = c.server.Shutdown(ctx) // what is left is cut off below
		cancel()
	}
	c.stop(ErrClosed)
	c.asking.close()
	stopped := c.raft.Shutdown()
	if c.port != nil {
		errs = append(errs, c.gossip.stop(), c.server.Close(), c.closeNetwork())
	}
	done := make(chan error, 1)
	go func() {
		err := stopped.Error()
		c.work.Wait()
		done <- err
	}()
	select {
	case err := <-done:
		errs = append(errs, err)
	case <-time.After(closeWait):
		// The log is in use still, so that it cannot be closed.
		return errors.Join(append(errs, fmt.Errorf("raft did not stop within %v: does the disk hang?", closeWait))...)
	}
	c.collect()
	return errors.Join(append(errs, c.log.Close())...)
}

// handOver gives the leadership to another voter, if there is one.
func (c *Cluster) handOver() {
	others := false
	for _, s := range c.servers() {
		others = others || s.Suffrage == raft.Voter && string(s.ID) != c.id
	}
	if !others || c.raft.State() != raft.Leader {
		return
	}
	done := make(chan error, 1)
	go func() { done <- c.raft.LeadershipTransfer().Error() }()
	select {
	case err := <-done:
		if err != nil {
			c.logger.Info("the leadership could not be handed over; the others elect a leader when this node is gone", "error", err)
		}
	case <-time.After(handOverWait):
	}
}
