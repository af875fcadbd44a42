package cluster

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrNoLeader is returned when no leader was found within some seconds. Nothing was
	// written.
	ErrNoLeader = errors.New("no leader: a majority of the nodes is down or unreachable; try again shortly")
	// ErrUnknown is returned when leadership was lost, or the caller gave up, while a command
	// was in progress: it may have been applied, or may still be.
	ErrUnknown = errors.New("the command may or may not have been applied")
	// ErrFull is returned while the disk of this node or of the leader has no space for
	// commands that are already committed. Nothing was written.
	ErrFull = errors.New("the disk of this node is full: writes resume when there is free space")
	// ErrRefused is returned by Remove when the node must not be removed; the message says why.
	ErrRefused = errors.New("not possible")
	// ErrStalled is received from Fatal when the disk of a leader hangs.
	ErrStalled = errors.New("the disk of this node hangs")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the cluster is closed")

	// errRemoved is received from Fatal when this node was removed from its cluster.
	errRemoved = errors.New("this node was removed from its cluster and stops; to let it join again, remove its data directory and start it")
	// errStopped is returned for commands after the state machine has failed.
	errStopped = errors.New("this node's state machine has stopped; its log says why")
	// errUnchanged is returned by a change of the identity that is already in place.
	errUnchanged = errors.New("unchanged")
)

// noLeaderError returns the error of a request that found no leader: the reason of ctx when
// the caller gave up.
func noLeaderError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ErrNoLeader), errors.Is(err, ErrClosed):
		return err
	}
	return fmt.Errorf("%w (%w)", ErrNoLeader, err)
}
