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
// response has the data of the last sync, and says that a sync is running. It returns the id
// of the sync; one that failed or was cancelled is the error of its cause.
func (h *syncs) force(c *call, d *pb.Destination) (id string, err error) {
	if err := mayForce(c); err != nil {
		return "", err
	}
	started, err := startSyncs(c, []*pb.Destination{d})
	if err != nil {
		return "", err
	}
	if len(started) == 0 {
		return "", storageNotFound()
	}
	id = started[0]
	timeout := time.NewTimer(h.forceWait)
	defer timeout.Stop()
	for {
		changed := c.backend.catalog.Changed()
		var sync *pb.Sync
		if err := c.backend.catalog.View(func(tx *catalog.Tx) (err error) {
			sync, err = tx.Sync(d.Org, id)
			return orNotFound(err, storageNotFound())
		}); err != nil {
			return "", err
		}
		if sync.FinishedAt != 0 {
			if e := syncError(d, sync); e != nil {
				return "", e
			}
			return id, nil
		}
		select {
		case <-changed:
		case <-timeout.C:
			return id, nil
		case <-c.context().Done():
			return "", c.context().Err()
		}
	}
}
