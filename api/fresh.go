package api

import (
	"errors"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// freshness is the `meta` of what is answered from the index.
type freshness struct {
	// Cached is true: the index answers, not the bucket.
	Cached              bool   `json:"cached"`
	LastSyncAt          stamp  `json:"lastSyncAt"`
	IsFresh             bool   `json:"isFresh"`
	IsSyncing           bool   `json:"isSyncing"`
	NeedsSync           bool   `json:"needsSync"`
	NextScheduledSyncAt stamp  `json:"nextScheduledSyncAt"`
	NextCursor          string `json:"nextCursor,omitempty"`
}

// freshness tells how old the index of a destination is.
func (s *Server) freshness(tx *catalog.Tx, d *pb.Destination) (freshness, error) {
	f := freshness{Cached: true, NeedsSync: true}
	now := s.Now()
	g, err := tx.Generation(d.Id)
	switch {
	case err == nil:
		age := now.Sub(time.UnixMilli(g.PromotedAt))
		f.LastSyncAt = stamp(g.PromotedAt)
		f.IsFresh = age <= s.FreshFor
		f.NeedsSync = s.SyncEvery > 0 && age > s.SyncEvery
	case !errors.Is(err, catalog.ErrNotFound):
		return f, err
	}
	last, err := tx.LastSync(d.Org, d.Id)
	switch {
	case err == nil:
		f.IsSyncing = last.FinishedAt == 0
		if d.Verified && s.SyncEvery > 0 {
			f.NextScheduledSyncAt = stamp(max(last.StartedAt+s.SyncEvery.Milliseconds(), now.UnixMilli()))
		}
	case errors.Is(err, catalog.ErrNotFound):
		if d.Verified && s.SyncEvery > 0 {
			f.NextScheduledSyncAt = stamp(max(d.CreatedAt+s.SyncEvery.Milliseconds(), now.UnixMilli()))
		}
	default:
		return f, err
	}
	return f, nil
}

// start starts a sync, or joins the one that runs, and answers its id.
func (c *call) start(d *pb.Destination) (id string, err error) {
	result, err := c.proposeOnce(&pb.StartSync{
		Org: d.Org, DestinationId: d.Id, SyncId: catalog.NewID(catalog.KindSync), At: c.server.Now().UnixMilli(),
	}, d.Id)
	if err != nil {
		return "", orNotFound(err, storageNotFound())
	}
	return result.SyncId, nil
}

// startAll starts or joins the syncs of those destinations that are still there, and
// answers their ids.
func (c *call) startAll(all []*pb.Destination) ([]string, error) {
	ids := make([]string, 0, len(all))
	for _, d := range all {
		id, err := c.start(d)
		if known, ok := errors.AsType[*Error](err); ok && known.Code == CodeStorageNotFound {
			continue // deleted in this moment, which is no reason to leave out the others
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// mayForce refuses force=true to those who may read and not sync.
func (c *call) mayForce() error {
	if Edit.Allows(catalog.Role(c.token.Role)) {
		return nil
	}
	return &Error{Code: CodeDenied, Message: Edit.rule().denied + "; ask without force=true"}
}

// force starts or joins a sync and waits for its end, but not longer than ForceWait:
// then the answer comes from the last one, and says that a sync is running.
func (c *call) force(d *pb.Destination) error {
	if err := c.mayForce(); err != nil {
		return err
	}
	id, err := c.start(d)
	if err != nil {
		return err
	}
	timeout := time.NewTimer(c.server.ForceWait)
	defer timeout.Stop()
	for {
		changed := c.server.Catalog.Changed()
		running := false
		if err := c.server.Catalog.View(func(tx *catalog.Tx) error {
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
