package catalog

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a catalog. The zero value is usable.
type Options struct {
	// Logger logs restores and removed files; nil is slog.Default().
	Logger *slog.Logger
	// Registerer registers the metrics; nil disables them.
	Registerer prometheus.Registerer
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
