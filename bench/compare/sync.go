package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// syncState is what GET /api/v1/storage/syncs/ID answers.
type syncState struct {
	ID, Status, Error     string
	StartedAt, FinishedAt string
	FilesScanned          number
	OrphanFiles           number
	MissingBackups        number
}

// times are when the sync started and when it was promoted, as the node tells it.
func (s syncState) times() (started, finished time.Time, err error) {
	if started, err = time.Parse(time.RFC3339Nano, s.StartedAt); err != nil {
		return started, finished, err
	}
	finished, err = time.Parse(time.RFC3339Nano, s.FinishedAt)
	return started, finished, err
}

// took is the time from start to promotion.
func (s syncState) duration() (time.Duration, error) {
	started, finished, err := s.times()
	return finished.Sub(started), err
}

// begin starts a sync and answers its id.
func (n *node) startSync(ctx context.Context, dest string) (id string, err error) {
	var answer struct{ SyncIDs []string }
	if err := n.owner.call(ctx, http.MethodPost, "/api/v1/storage/sync?destinationId="+url.QueryEscape(dest), nil, &answer); err != nil {
		return "", err
	}
	if len(answer.SyncIDs) != 1 {
		return "", fmt.Errorf("a sync of one destination has the ids %q", answer.SyncIDs)
	}
	return answer.SyncIDs[0], nil
}

// finish waits for the end of a sync. It asks for what this node knows of it, which is told
// also while there is no leader.
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
			return s, fmt.Errorf("wait for sync %s, which is %s: %w", id, s.Status, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// flexible is a number that an answer may give as a number or as a string.
type number uint64

// UnmarshalJSON implements json.Unmarshaler.
func (f *number) UnmarshalJSON(b []byte) error {
	_, err := fmt.Sscan(string(bytes.Trim(b, `"`)), (*uint64)(f))
	return err
}
