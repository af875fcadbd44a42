package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// logStore is raft's log and its stable store. It is raft-wal, which leaves the lock
// on its own metadata behind when it is closed.
type logStore struct {
	*wal.WAL
	meta *metadb.BoltMetaDB
	// busy is when the write began that is under way, in Unix nanoseconds; 0: none is. Raft
	// writes one at a time.
	busy atomic.Int64
	// before is called before each write; tests hold it up.
	before atomic.Pointer[func()]
}

var _ raft.MonotonicLogStore = (*logStore)(nil)

// openLog opens the log in dir. Its files have size bytes, or the usual number when that is 0.
func openLog(dir string, size int, logger *hclogger) (*logStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the log: %w", err)
	}
	l := &logStore{meta: &metadb.BoltMetaDB{}}
	var err error
	if l.WAL, err = wal.Open(dir, wal.WithLogger(logger.Named("wal")), wal.WithMetaStore(l.meta), wal.WithSegmentSize(cmp.Or(size, wal.DefaultSegmentSize))); err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", dir, errors.Join(err, l.meta.Close()))
	}
	return l, nil
}

// StoreLog implements raft.LogStore.
func (l *logStore) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l *logStore) StoreLogs(entries []*raft.Log) error {
	l.busy.Store(time.Now().UnixNano())
	defer l.busy.Store(0)
	if before := l.before.Load(); before != nil {
		(*before)()
	}
	return l.WAL.StoreLogs(entries)
}

// busyFor is how long the write that is under way has taken so far.
func (l *logStore) busyFor() time.Duration {
	began := l.busy.Load()
	if began == 0 {
		return 0
	}
	return time.Since(time.Unix(0, began))
}

// Close ends the use of the log.
func (l *logStore) Close() error { return errors.Join(l.WAL.Close(), l.meta.Close()) }
