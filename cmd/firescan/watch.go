package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	apiclient "firescan/api/client"
)

const (
	// pollInterval is the interval of polling syncs. Events report progress; the records
	// report the result, and progress while the stream of events is down.
	pollInterval = 500 * time.Millisecond
	// listenTimeout is how long a sync waits for the stream of events to open: a proxy
	// may hold it back.
	listenTimeout = 5 * time.Second
)

// An unwatchedError reports that the user stopped watching, while the syncs continue.
type unwatchedError struct{ syncs []string }

func (e *unwatchedError) Error() string {
	if len(e.syncs) != 1 {
		return "stopped watching; the syncs continue: `firescan sync list` shows them, `firescan sync cancel SYNC` cancels one"
	}
	return "stopped watching; the sync continues: `firescan sync list` shows it, `firescan sync cancel " + e.syncs[0] + "` cancels it"
}

func (e *unwatchedError) Unwrap() error { return context.Canceled }

// watchSync starts a sync of one or all destinations and shows progress until it ends.
func (a *app) watchSync(ctx context.Context, c *client, destination string) error {
	names, err := c.destinationNames(ctx)
	if err != nil {
		return err
	}
	view := newProgressView(ctx, a.err, terminal(a.err), names)
	defer view.close()

	// Listen before the sync starts, so that no event is missed.
	events := listen(ctx, c, view.update)
	defer events.close()
	started, err := apiclient.Decode(c.api().StartSync(ctx, &apiclient.StartSyncParams{DestinationID: destination}))
	if err != nil {
		return err
	}
	ended, err := c.waitForSyncs(ctx, started.Data.SyncIds, func(s syncRecord) {
		if !events.open.Load() {
			view.update(s.progress())
		}
	})
	events.close() // a late event must not replace the result
	if ctx.Err() != nil {
		view.close()
		return &unwatchedError{started.Data.SyncIds}
	}
	if err != nil {
		return err
	}
	for _, s := range ended {
		view.end(s)
	}
	view.close()
	return a.printResults(ended, names)
}

// A listener listens to events and reconnects when the stream ends.
type listener struct {
	open atomic.Bool // whether the stream is open
	stop context.CancelFunc
	done chan struct{}
}

// listen returns after the first attempt to open the stream, successful or not.
func listen(ctx context.Context, c *client, handle func(progress)) *listener {
	ctx, stop := context.WithCancel(ctx)
	l := &listener{stop: stop, done: make(chan struct{})}
	tried := make(chan struct{})
	attempted := sync.OnceFunc(func() { close(tried) })
	go func() {
		defer close(l.done)
		for ctx.Err() == nil {
			_ = c.watchProgress(ctx, func() { l.open.Store(true); attempted() }, handle)
			l.open.Store(false)
			attempted()
			sleep(ctx, pollInterval)
		}
	}()
	select {
	case <-tried:
	case <-time.After(listenTimeout):
	case <-ctx.Done():
	}
	return l
}

func (l *listener) close() {
	l.stop()
	<-l.done
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// waitForSyncs polls syncs until all have ended, and calls show with each running sync.
func (c *client) waitForSyncs(ctx context.Context, ids []string, show ...func(syncRecord)) ([]syncRecord, error) {
	syncs := make([]syncRecord, len(ids))
	for {
		running := 0
		for i, id := range ids {
			if syncs[i].ended() {
				continue
			}
			err := c.getSync(ctx, id, &syncs[i])
			if err != nil && !isCode(err, apiclient.CodeNOLEADER) {
				return nil, fmt.Errorf("watch the sync, which continues (`firescan sync list` shows it): %w", err)
			}
			if syncs[i].ended() {
				continue
			}
			running++
			for _, f := range show {
				f(syncs[i])
			}
		}
		if running == 0 {
			return syncs, nil
		}
		if sleep(ctx, pollInterval); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// getSync reads a sync into s, with its JSON.
func (c *client) getSync(ctx context.Context, id string, s *syncRecord) error {
	r, err := c.api().GetSync(ctx, id, nil)
	if err != nil {
		return err
	}
	withJSON := apiclient.Response[struct{ Data syncRecord }]{Body: r.Body}
	reply, err := withJSON.Decode()
	if err == nil {
		*s = reply.Data
	}
	return err
}

// destinationNames returns the names of all destinations by their ids.
func (c *client) destinationNames(ctx context.Context) (map[string]string, error) {
	all, err := apiclient.Decode(c.api().ListDestinations(ctx, nil))
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(all.Data))
	for _, d := range all.Data {
		names[d.ID] = d.Name
	}
	return names, nil
}

// printResults prints the results of syncs, and returns an error for those that failed.
func (a *app) printResults(ended []syncRecord, names map[string]string) error {
	var failed []error
	for _, s := range ended {
		name := nameOf(names, s.DestinationID)
		if s.Status != apiclient.SyncStatusCompleted {
			why := s.Error
			if why == "" {
				why = string(s.Status)
			}
			failed = append(failed, fmt.Errorf("the sync of %s did not complete: %s", name, why))
			continue
		}
		if !a.json {
			took := s.FinishedAt.Sub(s.StartedAt).Round(time.Millisecond)
			fmt.Fprintf(a.out, "%s: %s files (%s) in %v, %s orphans, %s backups without a file\n",
				name, count(s.FilesScanned), bytesText(s.BytesScanned), took, count(s.OrphanFiles), count(s.MissingBackups))
		}
	}
	if a.json {
		if err := a.printSyncs(ended); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}
