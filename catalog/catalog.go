// Package catalog is the state on which the cluster agrees: destinations, the records of
// the services that make backups, syncs and their segments, tokens. It is a state machine
// on one bbolt file, changed by the commands of a replicated log and read by
// transactions. It uses no network, no clock and no raft.
package catalog

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

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
	trimmed atomic.Int64 // mapped bytes after the last trim

	damage  atomic.Pointer[error]
	damages atomic.Uint64 // how often damage was found
	scrubs  scrubs
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

// trim is Trim with mu held. The process has pages that are not the catalog's: it trims when
// there are new ones, and not each time when the others alone are many.
func (c *Catalog) trim() {
	now := mapped()
	kept := min(c.trimmed.Load(), now)
	c.trimmed.Store(kept)
	if now < mappedMost || now-kept < mappedMost/2 {
		return
	}
	if info, err := os.Stat(c.path); err == nil {
		dropMapped(c.db, info.Size())
		c.trimmed.Store(mapped())
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

// Damage returns the first damage that was found in the catalog file, as an
// ErrCatalogDamaged; nil when there is none. Only Restore ends it.
func (c *Catalog) Damage() error {
	if err := c.damage.Load(); err != nil {
		return *err
	}
	return nil
}

// MarkDamaged records that the catalog is damaged, for a reason that this node cannot find
// in the file by itself: other nodes have another state.
func (c *Catalog) MarkDamaged(reason string) error {
	err := damaged("%s", reason)
	c.noteDamage(err)
	return err
}

// noteDamage records the damage that an error reports, if it does.
func (c *Catalog) noteDamage(err error) {
	if errors.Is(err, ErrCatalogDamaged) && c.damage.CompareAndSwap(nil, &err) {
		c.damages.Add(1)
		c.log.Error("the catalog is damaged", "file", c.path, "error", err)
	}
}
