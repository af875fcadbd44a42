package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// fullDiskInterval is the interval of retries while the disk is full.
const fullDiskInterval = time.Second

// stateMachine is implemented by catalog.Catalog.
type stateMachine interface {
	Apply(entries []catalog.Entry) ([]*pb.Result, error)
	Restore(r io.Reader) error
}

// fsm passes committed entries from Raft to the catalog.
type fsm struct {
	catalog   stateMachine
	snapshots *snapshots
	logger    *slog.Logger
	fatal     chan<- error
	closing   <-chan struct{}
	stopped   bool // used by Raft's one goroutine only
	// full is set while the disk has no space for committed entries.
	full atomic.Bool
	// beforeApply, when not nil, is called before commands are applied; for tests.
	beforeApply func()
	// mu is held while the catalog is changed: by Raft's goroutine, or by a repair.
	mu sync.Mutex
	// applied, when not nil, returns the index of the last entry in the catalog.
	applied func() uint64
}

var _ raft.BatchingFSM = (*fsm)(nil)

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. When the catalog fails, nothing more is applied:
// the node stops, and continues with the same entry when it starts again.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	f.mu.Lock()
	defer f.mu.Unlock()
	responses := make([]any, len(logs))
	skipped := uint64(0)
	if f.applied != nil {
		skipped = f.applied()
	}
	entries := make([]catalog.Entry, 0, len(logs))
	positions := make([]int, 0, len(logs))
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			entries = append(entries, catalog.Entry{Index: l.Index, Term: l.Term, Data: l.Data})
			positions = append(positions, i)
		}
	}
	if len(entries) == 0 {
		return responses
	}
	err := errStopped
	if !f.stopped {
		var results []*pb.Result
		if results, err = f.apply(entries); err == nil {
			for i, r := range results {
				responses[positions[i]] = r
				if entries[i].Index <= skipped {
					// The catalog of another node included it, and not its result.
					responses[positions[i]] = errSkipped
				}
			}
			return responses
		}
		f.stop(err)
	}
	for _, i := range positions {
		responses[i] = err
	}
	return responses
}

// apply waits for space when the disk is full: committed entries are not lost, and this node
// continues to serve reads.
func (f *fsm) apply(entries []catalog.Entry) ([]*pb.Result, error) {
	if f.beforeApply != nil {
		f.beforeApply()
	}
	for {
		results, err := f.catalog.Apply(entries)
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			if f.full.Swap(false) {
				f.logger.Info("the disk has space again; writes resume")
			}
			return results, err
		}
		if !f.full.Swap(true) {
			f.logger.Error("the disk is full; writes resume when there is free space", "error", err)
		}
		select {
		case <-time.After(fullDiskInterval):
		case <-f.closing:
			return nil, fmt.Errorf("the node stopped while the disk was full: %w", err)
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

// Snapshot implements raft.FSM. The catalog is durable, so a snapshot has no content. A
// stopped state machine has none: the log must keep the entries that were not applied.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.stopped {
		return nil, errStopped
	}
	return emptySnapshot{}, nil
}

// Restore implements raft.FSM.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.catalog.Restore(r); err != nil {
		return err
	}
	return f.snapshots.restored()
}

// emptySnapshot is a snapshot of which only the metadata is stored.
type emptySnapshot struct{}

func (emptySnapshot) Persist(sink raft.SnapshotSink) error { return sink.Close() }

func (emptySnapshot) Release() {}
