package api

import (
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// mayForce refuses force=true to callers that may read but not sync.
func mayForce(c *call) error {
	if Edit.Allows(catalog.Role(c.token.Role)) {
		return nil
	}
	return &Error{Code: CodeDenied, Message: Edit.rule().denied + "; repeat the request without force=true"}
}

// force starts or joins a sync and waits for its end, at most forceWait. After that the
// response has the data of the last sync, and says that a sync is running.
func (h *syncs) force(c *call, d *pb.Destination) error {
	if err := mayForce(c); err != nil {
		return err
	}
	id, err := startSync(c, d)
	if err != nil {
		return err
	}
	timeout := time.NewTimer(h.forceWait)
	defer timeout.Stop()
	for {
		changed := c.backend.catalog.Changed()
		running := false
		if err := c.backend.catalog.View(func(tx *catalog.Tx) error {
			sync, err := tx.Sync(d.Org, id)
			running = err == nil && sync.FinishedAt == 0
			return orNotFound(err, storageNotFound())
		}); err != nil || !running {
			return err
		}
		select {
		case <-changed:
		case <-timeout.C:
			return nil
		case <-c.context().Done():
			return c.context().Err()
		}
	}
}
