package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// transferTimeout bounds how long a leader that stops looks for another one.
	transferTimeout = 3 * time.Second
	// shutdownTimeout bounds the current requests of other nodes when this node stops.
	shutdownTimeout = time.Second
	// workTimeout bounds how long pending work of this node delays that Raft stops.
	workTimeout = time.Second
	// closeTimeout bounds how long Raft may take to stop: on a disk that hangs it never does.
	closeTimeout = 10 * time.Second
)

// Close transfers the leadership, announces that this node stops, and closes the log. The
// node stays a member. Pending commands end with ErrUnknown or ErrNoLeader. Close takes
// some seconds at most, also when the disk hangs.
func (c *Cluster) Close() error {
	c.closing.Do(func() { c.closeErr = c.close(true) })
	return c.closeErr
}

// close stops the node, gracefully or as if it had crashed.
func (c *Cluster) close(graceful bool) error {
	var errs []error
	if graceful && c.transport != nil && c.ctx.Err() == nil {
		c.transferLeadership()
		if c.gossip.list != nil {
			if err := c.gossip.leave(); err != nil {
				c.logger.Info("other nodes were not notified that this one stops", "error", err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		c.transport.Shutdown(ctx)
		cancel()
	}
	c.stop(ErrClosed)
	c.inflight.drain()
	// Raft 1.8.0 never completes a configuration change that is committed while it shuts
	// down, and autopilot waits for it. So the work of the leader ends first, if it can.
	worked := make(chan struct{})
	go func() {
		c.work.Wait()
		close(worked)
	}()
	select {
	case <-worked:
	case <-time.After(workTimeout):
	}
	shutdown := c.raft.Shutdown()
	if c.transport != nil {
		errs = append(errs, c.gossip.stop(), c.closeTransport())
	}
	done := make(chan error, 1)
	go func() {
		err := shutdown.Error()
		<-worked
		done <- err
	}()
	select {
	case err := <-done:
		errs = append(errs, err)
	case <-time.After(closeTimeout):
		// Raft still uses the log, so it cannot be closed.
		return errors.Join(append(errs, fmt.Errorf("raft did not stop within %v: does the disk hang?", closeTimeout))...)
	}
	c.unregister()
	return errors.Join(append(errs, c.log.Close())...)
}

// transferLeadership transfers the leadership to another voter, if there is one.
func (c *Cluster) transferLeadership() {
	if c.members.onlyVoter() || c.raft.State() != raft.Leader {
		return
	}
	done := make(chan error, 1)
	go func() { done <- c.raft.LeadershipTransfer().Error() }()
	select {
	case err := <-done:
		if err != nil {
			c.logger.Info("leadership transfer failed; the others elect a leader when this node is gone", "error", err)
		}
	case <-time.After(transferTimeout):
	}
}
