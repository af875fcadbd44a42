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

// logStore is Raft's log and stable store. It adds to raft-wal the closing of its metadata
// file, which raft-wal leaves locked.
type logStore struct {
	*wal.WAL
	meta *metadb.BoltMetaDB
	// writeStart is when the current write began, in Unix nanoseconds; 0 between writes.
	// Raft writes one at a time.
	writeStart atomic.Int64
	// beforeWrite is called before each write; for tests.
	beforeWrite atomic.Pointer[func()]
}

var _ raft.MonotonicLogStore = (*logStore)(nil)

// openLog opens the log in dir, with files of segment bytes, or the default when that is 0.
func openLog(dir string, segment int, logger *hclogger) (*logStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the log directory: %w", err)
	}
	l := &logStore{meta: &metadb.BoltMetaDB{}}
	var err error
	if l.WAL, err = wal.Open(dir, wal.WithLogger(logger.Named("wal")), wal.WithMetaStore(l.meta), wal.WithSegmentSize(cmp.Or(segment, wal.DefaultSegmentSize))); err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", dir, errors.Join(err, l.meta.Close()))
	}
	return l, nil
}

// StoreLog implements raft.LogStore.
func (l *logStore) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l *logStore) StoreLogs(entries []*raft.Log) error {
	l.writeStart.Store(time.Now().UnixNano())
	defer l.writeStart.Store(0)
	if before := l.beforeWrite.Load(); before != nil {
		(*before)()
	}
	return l.WAL.StoreLogs(entries)
}

// checkComplete returns an error if the log ends before the catalog does: new entries would
// get indexes that the catalog takes for applied, and be lost. A new log directory beside a
// catalog is the same mistake.
func (l *logStore) checkComplete(c Config, s *snapshots) error {
	last, err := l.LastIndex()
	if err != nil {
		return fmt.Errorf("read the log in %s: %w", c.Dir, err)
	}
	m, err := s.metadata()
	if err != nil {
		return err
	}
	// A catalog that was received from another node holds committed entries only.
	last = max(last, m.Index, m.Reached)
	if applied := c.Catalog.AppliedIndex(); applied > last {
		return fmt.Errorf("the catalog has applied entry %d, but the log in %s ends at %d: it was removed or restored from an older copy; put back the log that belongs to the catalog", applied, c.Dir, last)
	}
	return nil
}

// Close closes the log.
func (l *logStore) Close() error { return errors.Join(l.WAL.Close(), l.meta.Close()) }
