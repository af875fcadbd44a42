package catalogtest

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// A Node is one member of a Log with its catalog. It has the methods of a cluster
// through which commands are proposed.
type Node struct {
	ID string
	// Dir is a directory for files of the node; Wipe replaces it.
	Dir string
	// Catalog is replaced by Restart and Wipe.
	Catalog *catalog.Catalog

	log             *Log
	stopped, paused bool // guarded by log.mu
}

// Propose applies a command. A refusal is an error, as in package cluster. A paused node
// resumes, since a proposal ends when its own node has applied it.
func (n *Node) Propose(ctx context.Context, m proto.Message) (*pb.Result, error) {
	return n.ProposeOnce(ctx, m, nil)
}

// ProposeOnce is Propose for a command that takes effect once for the key of once.
func (n *Node) ProposeOnce(ctx context.Context, m proto.Message, once *pb.Once) (*pb.Result, error) {
	results, err := n.log.propose(ctx, &Proposal{Node: n, Commands: []proto.Message{m}, Once: once})
	if err != nil {
		return nil, err
	}
	return results[0], catalog.ResultError(results[0])
}

// ProposeAll applies commands in one batch. A refusal is in its command's result.
func (n *Node) ProposeAll(ctx context.Context, all []proto.Message) ([]*pb.Result, error) {
	return n.log.propose(ctx, &Proposal{Node: n, Commands: all})
}

// Barrier returns when the node has applied all entries of the log.
func (n *Node) Barrier(context.Context) error {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	switch {
	case n.log.failure != nil:
		return n.log.failure
	case n.stopped:
		return ErrStopped
	}
	n.paused = false
	return n.catchUp()
}

// ErrDissent is returned by Confirm when a majority of the nodes has decided otherwise.
var ErrDissent = errors.New("the nodes disagree")

// Confirm returns nil when a majority of the nodes that run has decided on a deletion as v
// says.
func (n *Node) Confirm(_ context.Context, v catalog.Verdict) error {
	agreed, all := 0, n.log.Nodes()
	for _, other := range all {
		if other.IsStopped() {
			continue
		}
		if err := other.Catalog.View(func(tx *catalog.Tx) error {
			own, _, err := tx.Verdict(v.Org, v.Intent)
			if err == nil && bytes.Equal(own.Digest, v.Digest) {
				agreed++
			}
			return err
		}); err != nil {
			return err
		}
	}
	if agreed <= len(all)/2 {
		return ErrDissent
	}
	return nil
}

// IsLeader reports whether the node leads.
func (n *Node) IsLeader() bool {
	leader, _ := n.log.Leader()
	return leader == n
}

// IsStopped reports whether the node is stopped.
func (n *Node) IsStopped() bool {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return n.stopped
}

// Stop cuts the node off, as if it had been killed: its catalog stands still and can be
// read, and its proposals and barriers fail with ErrStopped.
func (n *Node) Stop() { n.set(func() { n.stopped = true }) }

// Pause lets the catalog of the node stand still until Start or its next proposal or
// barrier.
func (n *Node) Pause() { n.set(func() { n.paused = true }) }

// Start ends Stop and Pause: the node applies what it has missed.
func (n *Node) Start() { n.set(func() { n.stopped, n.paused = false, false }) }

// set changes the state of the node under the lock of the log.
func (n *Node) set(change func()) {
	n.log.tb.Helper()
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	change()
	if n.stopped || n.paused {
		return
	}
	if err := n.catchUp(); err != nil {
		n.log.tb.Fatal(err)
	}
}

// Restart closes the catalog, opens it again and starts the node.
func (n *Node) Restart() { n.reopen(n.Dir) }

// Wipe restarts the node on an empty disk, with a new Dir.
func (n *Node) Wipe() { n.reopen(n.log.tb.TempDir()) }

func (n *Node) reopen(dir string) {
	n.log.tb.Helper()
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	if err := n.Catalog.Close(); err != nil {
		n.log.tb.Fatal(err)
	}
	n.Dir, n.stopped, n.paused = dir, false, false
	n.open()
}

// open opens the catalog and applies what it has missed. The caller holds log.mu.
func (n *Node) open() {
	n.log.tb.Helper()
	c, err := catalog.Open(filepath.Join(n.Dir, "catalog.db"), n.log.opts)
	if err != nil {
		n.log.tb.Fatal(err)
	}
	n.Catalog = c
	if err := n.catchUp(); err != nil {
		n.log.tb.Fatal(err)
	}
}

// catchUp applies the entries that the node has missed. The caller holds log.mu.
func (n *Node) catchUp() error {
	_, err := n.Catalog.Apply(n.log.entries[n.Catalog.AppliedIndex():])
	return err
}
