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
	// ErrUnconfirmed is returned by Confirm when too few nodes responded in time.
	ErrUnconfirmed = errors.New("a majority of the nodes did not confirm in time that the files may be deleted")
	// ErrDissent is returned by Confirm when a majority of the nodes has decided otherwise.
	ErrDissent = errors.New("a majority of the nodes has decided otherwise about the files, so the catalog of this node or of the leader is damaged; it is replaced")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the cluster is closed")

	// errRemoved is received from Fatal when this node was removed from its cluster.
	errRemoved = errors.New("this node was removed from its cluster and stops; to let it join again, remove its data directory and start it")
	// errStopped is returned for commands after the state machine has failed.
	errStopped = errors.New("this node's state machine has stopped; its log says why")
	// errSkipped is the response to a command that came with the catalog of another node.
	errSkipped = fmt.Errorf("%w: it came with the catalog of another node", ErrUnknown)
	// errRepairing is returned by Ready while this node replaces its damaged catalog.
	errRepairing = fmt.Errorf("%w: this node replaces its catalog, which is damaged, by that of another node", ErrNoLeader)
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
