package api

import (
	"errors"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// barrier makes later reads see all earlier writes, unless the client accepts stale
// data.
func (c *call) barrier() error {
	if c.Request.URL.Query().Get("consistency") == "stale" {
		return nil
	}
	return c.backend.consensus.Barrier(c.context())
}

// view reads the catalog after a barrier.
func (c *call) view(fn func(*catalog.Tx) error) error {
	if err := c.barrier(); err != nil {
		return err
	}
	return c.backend.catalog.View(fn)
}

// destination reads the destination in the path.
func (c *call) destination(tx *catalog.Tx) (*pb.Destination, error) {
	d, err := tx.Destination(c.org, c.id())
	return d, orNotFound(err, storageNotFound())
}

// readDestination reads the destination in the path after a barrier.
func (c *call) readDestination() (d *pb.Destination, err error) {
	err = c.view(func(tx *catalog.Tx) (err error) {
		d, err = c.destination(tx)
		return err
	})
	return d, err
}

// readKnownDestination is readDestination also for a deleted destination that records name.
func (c *call) readKnownDestination() (d *pb.Destination, err error) {
	err = c.view(func(tx *catalog.Tx) (err error) {
		if d, err = tx.Destination(c.org, c.id()); errors.Is(err, catalog.ErrNotFound) {
			d, err = tx.Tombstone(c.org, c.id())
		}
		return orNotFound(err, storageNotFound())
	})
	return d, err
}
