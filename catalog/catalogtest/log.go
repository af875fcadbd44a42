// Package catalogtest is the replicated log for tests: an in-process fake of package cluster
// that applies proposed commands, in order, to the catalogs of one or several nodes.
//
//	log := catalogtest.New(t, catalog.Options{}, "node1", "node2")
//	log.Put(catalogtest.Destination(org, destID, bucket))
//	log.PutBackups(org, destID, "a.backup", "b.backup")
//	n := log.Node("node1") // has Propose, ProposeOnce, ProposeAll, Barrier; n.Catalog, n.Dir
//	worker := NewWorker(WorkerConfig{Catalog: n.Catalog, Proposer: n})
//	s := log.WaitSync(org, log.StartSync(org, destID))
//
// What may go wrong:
//
//   - Log.SetHook wraps every proposal: a Hook can observe, delay, hold or refuse it, change
//     the catalog first, or lose its result. Log.Fail fails all proposals and barriers.
//   - Node.Stop and Node.Start: a node that is killed and comes back; Restart and Wipe also
//     reopen its catalog, from its file or from an empty disk. Node.Pause: its catalog lags.
//   - Log.Elect: another leader, in a new term. Proposals need no leader; who leads is for
//     the test, which starts and stops what only a leader runs.
//
// Index and other files of a node can live in Node.Dir. Catalogs are closed when the test
// ends, after the cleanups that were registered later than New.
package catalogtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// ErrStopped is returned by a node between Stop and Start.
var ErrStopped = errors.New("the node is stopped")

// A Log is a replicated log with its nodes. It is safe for concurrent use.
type Log struct {
	tb   testing.TB
	opts catalog.Options

	mu      sync.Mutex
	entries []catalog.Entry
	nodes   []*Node
	leader  *Node
	term    uint64
	hook    Hook
	failure error
	changed catalog.Signal // broadcast with each entry
}

// A Proposal is what a Hook sees: commands that are proposed together on one node.
type Proposal struct {
	Node     *Node
	Commands []proto.Message
	Once     *pb.Once // set by ProposeOnce
	// Results has one result per command after commit.
	Results []*pb.Result
}

// A Hook wraps a proposal. It calls commit, which appends and applies the commands, at most
// once; its error is what the proposer gets. It may propose other commands itself, in which
// case it is called for them too.
type Hook func(ctx context.Context, p *Proposal, commit func() error) error

// New returns a log with the given nodes, the first of which leads in term 1. With several
// nodes opts must have no Registerer.
func New(tb testing.TB, opts catalog.Options, nodes ...string) *Log {
	tb.Helper()
	l := &Log{tb: tb, opts: opts, term: 1}
	for _, id := range nodes {
		l.Join(id)
	}
	tb.Cleanup(l.close)
	return l
}

func (l *Log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.nodes {
		if err := n.Catalog.Close(); err != nil {
			l.tb.Error(err)
		}
	}
}

// Join adds a node, which applies all entries so far.
func (l *Log) Join(id string) *Node {
	l.tb.Helper()
	n := &Node{ID: id, Dir: l.tb.TempDir(), log: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	n.open()
	if l.nodes = append(l.nodes, n); l.leader == nil {
		l.leader = n
	}
	return n
}

// Node returns the node with an id, nil when there is none.
func (l *Log) Node(id string) *Node {
	for _, n := range l.Nodes() {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// Nodes returns all nodes in the order in which they joined.
func (l *Log) Nodes() []*Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.nodes)
}

// Elect makes a node the leader in a new term, which it returns.
func (l *Log) Elect(n *Node) (term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leader = n
	l.term++
	return l.term
}

// Leader returns the leader and its term.
func (l *Log) Leader() (*Node, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leader, l.term
}

// SetHook sets the hook that wraps every proposal from now on; nil removes it.
func (l *Log) SetHook(h Hook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hook = h
}

// Fail makes all proposals and barriers fail with err until Fail(nil).
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = err
}

// LastIndex returns the index of the last entry.
func (l *Log) LastIndex() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.entries))
}

// propose passes commands through the hook into the log.
func (l *Log) propose(ctx context.Context, p *Proposal) ([]*pb.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	hook := l.hook
	l.mu.Unlock()
	commit := func() error { return l.commit(p) }
	if hook == nil {
		hook = func(context.Context, *Proposal, func() error) error { return commit() }
	}
	if err := hook(ctx, p, commit); err != nil {
		return nil, err
	}
	return p.Results, nil
}

// commit appends commands to the log and applies them on all running nodes.
func (l *Log) commit(p *Proposal) error {
	data := make([][]byte, len(p.Commands))
	for i, m := range p.Commands {
		var err error
		if data[i], err = catalog.EncodeOnce(m, p.Once); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failure != nil:
		return l.failure
	case p.Node.stopped:
		return ErrStopped
	}
	p.Node.paused = false
	if err := p.Node.catchUp(); err != nil {
		return err
	}
	for _, d := range data {
		l.entries = append(l.entries, catalog.Entry{Index: uint64(len(l.entries) + 1), Term: l.term, Data: d})
	}
	for _, n := range l.nodes {
		if n.stopped || n.paused {
			continue
		}
		results, err := n.Catalog.Apply(l.entries[n.Catalog.AppliedIndex():])
		if err != nil {
			return err
		}
		if n == p.Node {
			p.Results = results
		}
	}
	l.changed.Broadcast()
	return nil
}
