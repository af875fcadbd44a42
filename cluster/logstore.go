package cluster

import (
	"errors"
	"fmt"
	"os"

	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// logStore is raft's log and its stable store. It is raft-wal, which leaves the lock
// on its own metadata behind when it is closed.
type logStore struct {
	*wal.WAL
	meta *metadb.BoltMetaDB
}

func openLog(dir string, logger *hclogger) (*logStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the log: %w", err)
	}
	l := &logStore{meta: &metadb.BoltMetaDB{}}
	var err error
	if l.WAL, err = wal.Open(dir, wal.WithLogger(logger.Named("wal")), wal.WithMetaStore(l.meta)); err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", dir, errors.Join(err, l.meta.Close()))
	}
	return l, nil
}

// Close ends the use of the log.
func (l *logStore) Close() error { return errors.Join(l.WAL.Close(), l.meta.Close()) }
