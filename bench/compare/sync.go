package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// syncState is the response of GET /api/v1/storage/syncs/ID.
type syncState struct {
	ID, Status, Error     string
	StartedAt, FinishedAt string
	FilesScanned          number
	OrphanFiles           number
	MissingBackups        number
}

// times returns the start and the promotion time of the sync, as the node reports them.
func (s syncState) times() (started, finished time.Time, err error) {
	if started, err = time.Parse(time.RFC3339Nano, s.StartedAt); err != nil {
		return started, finished, err
	}
	finished, err = time.Parse(time.RFC3339Nano, s.FinishedAt)
	return started, finished, err
}

// duration returns the time from start to promotion.
func (s syncState) duration() (time.Duration, error) {
	started, finished, err := s.times()
	return finished.Sub(started), err
}

// startSync starts a sync and returns its id.
func (n *node) startSync(ctx context.Context, dest string) (id string, err error) {
	var response struct{ SyncIDs []string }
	if err := n.owner.call(ctx, http.MethodPost, "/api/v1/storage/sync?destinationId="+url.QueryEscape(dest), nil, &response); err != nil {
		return "", err
	}
	if len(response.SyncIDs) != 1 {
		return "", fmt.Errorf("start sync: want one sync id, got %q", response.SyncIDs)
	}
	return response.SyncIDs[0], nil
}

// waitSync waits for the end of a sync. It reads the local state of the node, which works
// without a leader, too.
func (n *node) waitSync(ctx context.Context, id string) (s syncState, err error) {
	for {
		s = syncState{}
		if err := n.owner.call(ctx, http.MethodGet, "/api/v1/storage/syncs/"+id+"?consistency=stale", nil, &s); err != nil {
			return s, err
		}
		if s.Status != "queued" && s.Status != "running" {
			if s.Status != "completed" {
				err = fmt.Errorf("sync %s %s: %s", s.ID, s.Status, s.Error)
			}
			return s, err
		}
		if err := n.daemon.failed(); err != nil {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("wait for sync %s: still %s: %w", id, s.Status, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// number is an integer that is a number or a string in JSON.
type number uint64

// UnmarshalJSON implements json.Unmarshaler.
func (f *number) UnmarshalJSON(b []byte) error {
	_, err := fmt.Sscan(string(bytes.Trim(b, `"`)), (*uint64)(f))
	return err
}
