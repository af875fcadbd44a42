package api

import (
	"errors"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// freshness is the `meta` of responses from the index.
type freshness struct {
	// Cached is false when a sync that this request has started or joined gave the data.
	Cached              bool       `json:"cached"`
	LastSyncAt          stamp      `json:"lastSyncAt"`
	IsFresh             bool       `json:"isFresh"`
	IsSyncing           bool       `json:"isSyncing"`
	NeedsSync           bool       `json:"needsSync"`
	NextScheduledSyncAt stamp      `json:"nextScheduledSyncAt"`
	LastSyncError       *SyncError `json:"lastSyncError"`
	NextCursor          string     `json:"nextCursor,omitempty"`

	generation string // the sync whose data it is about; empty before the first
}

// A SyncError is why the last sync that has ended failed: with the code and message that
// force=true would have had.
type SyncError struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	At      stamp  `json:"at"`
}

func showSyncError(d *pb.Destination, s *pb.Sync) *SyncError {
	e := syncError(d, s)
	if e == nil || s.Status != catalog.SyncFailed {
		return nil
	}
	message := e.Message
	if details, ok := e.Details.(map[string]string); ok {
		message += ": " + details["reason"]
	}
	return &SyncError{e.Code, message, stamp(s.FinishedAt)}
}

// freshness returns how old the index of a destination is.
func (h *syncs) freshness(tx *catalog.Tx, now time.Time, d *pb.Destination) (freshness, error) {
	f := freshness{Cached: true, NeedsSync: true}
	g, err := tx.Generation(d.Id)
	switch {
	case err == nil:
		age := now.Sub(time.UnixMilli(g.PromotedAt))
		f.LastSyncAt, f.generation = stamp(g.PromotedAt), g.Id
		f.IsFresh = age <= h.freshFor
		f.NeedsSync = h.every > 0 && age > h.every
	case !errors.Is(err, catalog.ErrNotFound):
		return f, err
	}
	last, err := tx.Syncs(d.Org, d.Id, "", 1)
	if err != nil {
		return f, err
	}
	since := d.CreatedAt
	if len(last) > 0 {
		since, f.IsSyncing = last[0].StartedAt, last[0].FinishedAt == 0
	}
	if d.Verified && h.every > 0 {
		f.NextScheduledSyncAt = stamp(max(since+h.every.Milliseconds(), now.UnixMilli()))
	}
	if f.IsSyncing {
		if last, err = tx.Syncs(d.Org, d.Id, last[0].Id, 1); err != nil {
			return f, err
		}
	}
	if len(last) > 0 {
		f.LastSyncError = showSyncError(d, last[0])
	}
	return f, nil
}
