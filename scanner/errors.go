package scanner

import (
	"errors"
	"fmt"
	"syscall"

	"firescan/catalog"
	"firescan/index"
	"firescan/provider"
	spb "firescan/scanner/scannerpb"
)

var (
	// ErrStale is returned for an assignment of a replaced leader, and for one that arrives
	// after a later one.
	ErrStale = errors.New("stale assignment: a later one, or one of a later leader, has arrived")
	// ErrNotRunning is returned when the sync is not running in this node's catalog, and by
	// a worker that is not running.
	ErrNotRunning = errors.New("the sync is not running on this node")

	// errLeaderSilent and errLeaseLost end a scan that may start again with the next
	// assignment.
	errLeaderSilent = errors.New("no assignment from the leader")
	errLeaseLost    = errors.New("another node has recorded a range of this node: its lease has expired")
	// errSyncEnded is the cause when a sync ends while it is worked on.
	errSyncEnded = errors.New("the sync was cancelled")
	// errNotLeader is the cause when this node stops coordinating.
	errNotLeader = errors.New("this node no longer coordinates syncs")
)

// A nodeError is the failure of a node in a sync.
type nodeError struct {
	node    string
	failure *spb.Failure
}

func (e *nodeError) Error() string { return fmt.Sprintf("node %s: %s", e.node, e.failure.Detail) }

// failureReason returns why a sync failed, in words for users: no names of files or hosts
// and no internals, which are in the log.
func failureReason(err error) string {
	var p *provider.Error
	var corrupt *index.CorruptError
	var node *nodeError
	switch {
	case errors.As(err, &node):
		return node.failure.Reason
	case errors.As(err, &p):
		return fmt.Sprintf("%s: %s: %s", p.Op, p.Kind, p.Explain())
	case errors.Is(err, syscall.ENOSPC):
		return "the node's disk is full: free space, then start the sync again"
	case errors.As(err, &corrupt):
		return "a recorded segment was found damaged: start the sync again"
	case errors.Is(err, catalog.ErrNoReplica):
		return "no replica is making progress copying the new index: free space on the disks of the nodes, then start the sync again"
	}
	return "the node failed to run the sync: its log says why"
}

// failureCause returns the kind of the provider's error that made a sync fail, empty for
// another failure.
func failureCause(err error) string {
	if node, ok := errors.AsType[*nodeError](err); ok {
		return node.failure.Cause
	}
	if p, ok := errors.AsType[*provider.Error](err); ok {
		return p.Kind.String()
	}
	return ""
}

// canRetryElsewhere reports whether another node may succeed after err: not when the
// provider has understood and refused.
func canRetryElsewhere(err error) bool {
	switch provider.KindOf(err) {
	case provider.Credentials, provider.Denied, provider.NoBucket, provider.NotFound, provider.Invalid:
		return false
	}
	return true
}
