package api

import (
	"errors"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// freshness is the `meta` of responses from the index.
type freshness struct {
	// Cached is always true: the data is from the index, not the bucket.
	Cached              bool   `json:"cached"`
	LastSyncAt          stamp  `json:"lastSyncAt"`
	IsFresh             bool   `json:"isFresh"`
	IsSyncing           bool   `json:"isSyncing"`
	NeedsSync           bool   `json:"needsSync"`
	NextScheduledSyncAt stamp  `json:"nextScheduledSyncAt"`
	NextCursor          string `json:"nextCursor,omitempty"`
}

// freshness returns how old the index of a destination is.
func (h *syncs) freshness(tx *catalog.Tx, now time.Time, d *pb.Destination) (freshness, error) {
	f := freshness{Cached: true, NeedsSync: true}
	g, err := tx.Generation(d.Id)
	switch {
	case err == nil:
		age := now.Sub(time.UnixMilli(g.PromotedAt))
		f.LastSyncAt = stamp(g.PromotedAt)
		f.IsFresh = age <= h.freshFor
		f.NeedsSync = h.every > 0 && age > h.every
	case !errors.Is(err, catalog.ErrNotFound):
		return f, err
	}
	last, err := tx.LastSync(d.Org, d.Id)
	switch {
	case err == nil:
		f.IsSyncing = last.FinishedAt == 0
		if d.Verified && h.every > 0 {
			f.NextScheduledSyncAt = stamp(max(last.StartedAt+h.every.Milliseconds(), now.UnixMilli()))
		}
	case errors.Is(err, catalog.ErrNotFound):
		if d.Verified && h.every > 0 {
			f.NextScheduledSyncAt = stamp(max(d.CreatedAt+h.every.Milliseconds(), now.UnixMilli()))
		}
	default:
		return f, err
	}
	return f, nil
}
