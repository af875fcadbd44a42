// Package catalog is what the cluster agrees on: destinations, the records of
// the services that make backups, syncs and their segments, tokens. It is a
// state machine on one bbolt file, changed by the commands of a replicated log
// and read by transactions. It knows no network, no clock and no raft.
package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Options are what a catalog may be given. The zero value is usable.
type Options struct {
	// Logger is told about restores and files set aside; nil: slog.Default().
	Logger *slog.Logger
	// Registerer receives the metrics; nil: none are kept.
	Registerer prometheus.Registerer
}

// Catalog is the state machine. All its methods are safe for concurrent use;
// Apply and Restore belong to one goroutine, that of the log.
type Catalog struct {
	path    string
	log     *slog.Logger
	metrics *metrics

	// mu is held shared by all that use db, exclusively while db is replaced.
	mu sync.RWMutex
	db *bbolt.DB // nil when closed

	applied atomic.Uint64

	changedMu sync.Mutex
	changed   chan struct{}
}

// Open opens the catalog file at path, or makes it. It fails with ErrFormat on a
// file of a newer version, and after some seconds on a file that another
// process has open.
func Open(path string, opts Options) (*Catalog, error) {
	c := &Catalog{path: path, log: opts.Logger, changed: make(chan struct{})}
	if c.log == nil {
		c.log = slog.Default()
	}
	if err := c.sweep(); err != nil {
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
	err := c.db.Close()
	c.db = nil
	if err != nil {
		return fmt.Errorf("close the catalog %s: %w", c.path, err)
	}
	return nil
}

// View runs fn in a read transaction: it sees one state, whatever is applied
// meanwhile. Keep it short, since pages that it may see are not used again and
// the file grows; and never call View in it, since a Restore that waits between
// the two would wait for ever. The Tx ends with fn.
func (c *Catalog) View(fn func(*Tx) error) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.db == nil {
		return ErrClosed
	}
	return c.db.View(func(tx *bbolt.Tx) error { return fn(&Tx{tx: tx}) })
}

// Trim gives the mapped pages of the file back when they are many, so that a node does
// not come to hold the whole catalog in memory by having read it once from end to
// end. It costs nearly nothing when they are few; what is read again comes from the page cache.
func (c *Catalog) Trim() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.db != nil {
		c.trim()
	}
}

// trim is Trim for who holds mu.
func (c *Catalog) trim() {
	if mapped() < mappedMost {
		return
	}
	if info, err := os.Stat(c.path); err == nil {
		dropMapped(c.db, info.Size())
	}
}

// AppliedIndex is the index of the last entry that Apply has made durable.
func (c *Catalog) AppliedIndex() uint64 { return c.applied.Load() }

// Changed gives a channel that is closed when the next batch has been applied,
// or a snapshot restored. Ask for it before looking, so that nothing is missed.
func (c *Catalog) Changed() <-chan struct{} {
	c.changedMu.Lock()
	defer c.changedMu.Unlock()
	return c.changed
}

func (c *Catalog) advance(index uint64) {
	c.applied.Store(index)
	c.changedMu.Lock()
	defer c.changedMu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// openFile opens a bbolt file with the options that all catalogs have.
func openFile(path string) (*bbolt.DB, error) {
	opts := &bbolt.Options{
		Timeout: 5 * time.Second,
		// The free pages are found by a scan when the file is opened, instead of
		// being written with each commit.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	}
	if runtime.GOOS != "windows" && ^uint(0)>>63 == 1 {
		// To grow its mapping, bbolt waits for every reader to finish, so a
		// snapshot on its way to a slow follower would stop Apply. Address
		// space costs nothing: map more than the file will ever need.
		opts.InitialMmapSize = 1 << 36
	}
	db, err := bbolt.Open(path, 0o600, opts)
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("open the catalog %s: another process has it open: stop that one, or give this node its own data directory: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the catalog %s: %w", path, err)
	}
	return db, nil
}

// prepare makes the buckets of a new file, checks the format of an old one, and
// gives the index that it has applied.
func prepare(db *bbolt.DB) (index uint64, err error) {
	err = db.Update(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket([]byte(inMeta)); meta != nil {
			if err := checkFormat(meta.Get([]byte(metaFormat))); err != nil {
				return err
			}
		} else if k, _ := tx.Cursor().First(); k != nil {
			return fmt.Errorf("a bbolt file of something else (it holds %q): %w", k, ErrFormat)
		}
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return fmt.Errorf("make the bucket %s: %w", name, err)
			}
		}
		index, _ = applied(tx)
		return tx.Bucket([]byte(inMeta)).Put([]byte(metaFormat), binary.BigEndian.AppendUint32(nil, formatVersion))
	})
	return index, err
}

func checkFormat(v []byte) error {
	if len(v) != 4 {
		return fmt.Errorf("no format version: %w", ErrFormat)
	}
	if got := binary.BigEndian.Uint32(v); got == 0 || got > formatVersion {
		return fmt.Errorf("format version %d, this version of firescan reads up to %d (upgrade this node): %w", got, formatVersion, ErrFormat)
	}
	return nil
}

func applied(tx *bbolt.Tx) (index, term uint64) {
	if v := tx.Bucket([]byte(inMeta)).Get([]byte(metaApplied)); len(v) == 16 {
		return binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	}
	return 0, 0
}

// sweep removes what a Restore that was cut off has left.
func (c *Catalog) sweep() error {
	left, err := filepath.Glob(c.path + restoreSuffix + "*")
	if err != nil {
		return fmt.Errorf("look for unfinished restores beside %s: %w", c.path, err)
	}
	for _, name := range left {
		c.log.Warn("removing an unfinished restore of the catalog", "file", name)
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("remove an unfinished restore: %w", err)
		}
	}
	return nil
}
