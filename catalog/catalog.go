// Package catalog is the state on which the cluster agrees: destinations, the records of
// the services that make backups, syncs and their segments, tokens. It is a state machine
// on one bbolt file, changed by the commands of a replicated log and read by
// transactions. It uses no network, no clock and no raft.
package catalog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/bbolt"
)

// Options configure a catalog. The zero value is usable.
type Options struct {
	// Logger logs restores and removed files; nil is slog.Default().
	Logger *slog.Logger
	// Registerer registers the metrics; nil disables them.
	Registerer prometheus.Registerer
}

// A Catalog is the state machine. It is safe for concurrent use; Apply and Restore belong
// to one goroutine, that of the log.
type Catalog struct {
	path    string
	log     *slog.Logger
	metrics *metrics

	// mu is held shared by all that use db, exclusively while db is replaced.
	mu sync.RWMutex
	db *bbolt.DB // nil when closed

	applied atomic.Uint64
	changed Signal

	damage  atomic.Pointer[error]
	damages atomic.Uint64 // how often damage was found
	scrubs  scrubs
}

// Open opens the catalog file at path, or creates it. It fails with ErrFormat on a file
// of a newer version, and after some seconds on a file that another process has open.
func Open(path string, opts Options) (*Catalog, error) {
	c := &Catalog{path: path, log: opts.Logger}
	if c.log == nil {
		c.log = slog.Default()
	}
	if err := removeUnfinished(path, c.log); err != nil {
		return nil, err
	}
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	index, err := prepare(db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalog %s: %w", path, err), db.Close())
	}
	c.db = db
	c.applied.Store(index)
	if c.metrics, err = newMetrics(opts.Registerer, c); err != nil {
		return nil, errors.Join(fmt.Errorf("register the metrics of the catalog: %w", err), db.Close())
	}
	return c, nil
}

// Close waits for running transactions and closes the file.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db == nil {
		return nil
	}
	c.metrics.unregister()
	c.scrubs.abort()
	err := c.db.Close()
	c.db = nil
	if err != nil {
		return fmt.Errorf("close the catalog %s: %w", c.path, err)
	}
	return nil
}

// View runs fn in a read transaction on one state, which later entries do not change. The
// Tx ends with fn. Keep it short: pages that it may read are not reused and the file
// grows. Never call View inside fn: a Restore that waits between the two would deadlock.
func (c *Catalog) View(fn func(*Tx) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.db == nil {
		return ErrClosed
	}
	err := c.db.View(func(tx *bbolt.Tx) error { return fn(&Tx{tx: tx}) })
	c.noteDamage(err)
	return err
}

// Trim releases the mapped pages of the file when they are many, so that reading the
// whole catalog once does not keep it in memory. It costs nearly nothing when they are
// few; released pages are read again from the page cache.
func (c *Catalog) Trim() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.db != nil {
		c.trim()
	}
}

// trim is Trim with mu held.
func (c *Catalog) trim() {
	if mapped() < mappedMost {
		return
	}
	if info, err := os.Stat(c.path); err == nil {
		dropMapped(c.db, info.Size())
	}
}

// AppliedIndex returns the index of the last entry that Apply has made durable.
func (c *Catalog) AppliedIndex() uint64 { return c.applied.Load() }

// Changed returns a channel that is closed when the next batch has been applied, or a
// snapshot restored. To miss no change, call it before reading.
func (c *Catalog) Changed() <-chan struct{} { return c.changed.Wait() }

func (c *Catalog) advance(index uint64) {
	c.applied.Store(index)
	c.changed.Broadcast()
}
