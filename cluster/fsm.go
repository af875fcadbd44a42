package cluster

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"firescan/catalog"
)

// errStopped answers commands after the state machine had to stop.
var errStopped = errors.New("this node's state machine has stopped; its log says why")

// fsm hands what raft committed to the catalog. It decides nothing.
type fsm struct {
	catalog   *catalog.Catalog
	snapshots *snapshots
	fatal     chan<- error
	stopped   bool // only touched by raft's one goroutine
}

var _ raft.BatchingFSM = (*fsm)(nil)

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. When the catalog cannot go on, nothing more
// is applied: the node stops, and begins at the same entry when it starts again.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	entries := make([]catalog.Entry, 0, len(logs))
	at := make([]int, 0, len(logs))
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			entries = append(entries, catalog.Entry{Index: l.Index, Term: l.Term, Data: l.Data})
			at = append(at, i)
		}
	}
	if len(entries) == 0 {
		return answers
	}
	err := errStopped
	if !f.stopped {
		results, failed := f.catalog.Apply(entries)
		if failed == nil {
			for i, r := range results {
				answers[at[i]] = r
			}
			return answers
		}
		err = failed
		f.stop(fmt.Errorf("apply entries %d to %d: %w", entries[0].Index, entries[len(entries)-1].Index, failed))
	}
	for _, i := range at {
		answers[i] = err
	}
	return answers
}

func (f *fsm) stop(err error) {
	f.stopped = true
	select {
	case f.fatal <- err:
	default:
	}
}

// Snapshot implements raft.FSM. The catalog is durable, so there is nothing to write.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) { return noContent{}, nil }

// Restore implements raft.FSM.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	if err := f.catalog.Restore(r); err != nil {
		return err
	}
	return f.snapshots.restored()
}

// noContent is a snapshot of which only the metadata is kept.
type noContent struct{}

func (noContent) Persist(sink raft.SnapshotSink) error { return sink.Close() }

func (noContent) Release() {}
