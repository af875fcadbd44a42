package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// errStopped answers commands after the state machine had to stop.
var errStopped = errors.New("this node's state machine has stopped; its log says why")

// roomEvery is how often a full disk is tried again.
const roomEvery = time.Second

// machine is the state machine: catalog.Catalog.
type machine interface {
	Apply(entries []catalog.Entry) ([]*pb.Result, error)
	Restore(r io.Reader) error
}

// fsm hands what raft committed to the catalog. It decides nothing.
type fsm struct {
	catalog   machine
	snapshots *snapshots
	log       *slog.Logger
	fatal     chan<- error
	closing   <-chan struct{}
	stopped   bool // only touched by raft's one goroutine
	// full is set while the disk has no room for what was committed.
	full atomic.Bool
	// before, when not nil, is called before commands are applied; for tests.
	before func()
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
		results, failed := f.apply(entries)
		if failed == nil {
			for i, r := range results {
				answers[at[i]] = r
			}
			return answers
		}
		err = failed
		f.stop(failed)
	}
	for _, i := range at {
		answers[i] = err
	}
	return answers
}

// apply waits for room when the disk is full: what was committed is not lost, and
// this node goes on serving reads meanwhile.
func (f *fsm) apply(entries []catalog.Entry) ([]*pb.Result, error) {
	if f.before != nil {
		f.before()
	}
	for {
		results, err := f.catalog.Apply(entries)
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			if f.full.Swap(false) {
				f.log.Info("the disk has room again; what was committed is applied")
			}
			return results, err
		}
		if !f.full.Swap(true) {
			f.log.Error("the disk is full: nothing is written until there is room; free some", "error", err)
		}
		select {
		case <-time.After(roomEvery):
		case <-f.closing:
			return nil, fmt.Errorf("the node stopped while it waited for room: %w", err)
		}
	}
}

func (f *fsm) stop(err error) {
	f.stopped = true
	select {
	case f.fatal <- err:
	default:
	}
}

// Snapshot implements raft.FSM. The catalog is durable, so there is nothing to write.
// A stopped machine has none: the log must keep what was not applied.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.stopped {
		return nil, errStopped
	}
	return noContent{}, nil
}

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
