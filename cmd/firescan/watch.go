package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pollEvery is how often the syncs are asked for: the events tell how they go, their
	// records how they ended, and how they go while no events come.
	pollEvery = 500 * time.Millisecond
	// listenWithin is how long a sync waits for the events to come: something between
	// the node and here may hold them back.
	listenWithin = 5 * time.Second
)

// unwatchedError says that the watching ended, and the sync did not.
type unwatchedError struct{ syncs []string }

func (e *unwatchedError) Error() string {
	if len(e.syncs) != 1 {
		return "stopped watching; the syncs go on: `firescan sync list` shows them, `firescan sync cancel SYNC` ends one"
	}
	return "stopped watching; the sync goes on: `firescan sync list` shows it, `firescan sync cancel " + e.syncs[0] + "` ends it"
}

// Unwrap tells that it was the user who stopped.
func (e *unwatchedError) Unwrap() error { return context.Canceled }

// syncAndWatch starts a sync of a destination, or of all, and shows it to its end.
func (a *app) syncAndWatch(ctx context.Context, c *client, destination string) error {
	var all []struct{ ID, Name string }
	if err := c.call(ctx, http.MethodGet, "/api/v1/storage/destinations", nil, &all); err != nil {
		return err
	}
	names := make(map[string]string, len(all))
	for _, d := range all {
		names[d.ID] = d.Name
	}
	view := newProgressView(ctx, a.err, terminal(a.err), names)
	defer view.close()

	// Listening begins before the sync does, so that not even its first event is missed.
	ears := newEars(ctx, c, view.see)
	defer ears.close()
	var started startedSyncs
	if err := c.call(ctx, http.MethodPost, syncPath(destination), nil, &started); err != nil {
		return err
	}
	ended, err := c.waitForSyncs(ctx, started.SyncIDs, func(s syncRecord) {
		if !ears.open.Load() {
			view.see(s.progress())
		}
	})
	ears.close() // from here on the records alone tell the end
	if ctx.Err() != nil {
		view.close()
		return &unwatchedError{started.SyncIDs}
	}
	if err != nil {
		return err
	}
	return a.report(view, ended, names)
}

// ears listen to events, again and again, for they are lost with each connection.
type ears struct {
	open atomic.Bool // events come
	stop context.CancelFunc
	done chan struct{}
}

// newEars answers when it has begun to listen, or cannot for now: then the records
// have to do.
func newEars(ctx context.Context, c *client, see func(progress)) *ears {
	ctx, stop := context.WithCancel(ctx)
	e := &ears{stop: stop, done: make(chan struct{})}
	tried := make(chan struct{})
	begun := sync.OnceFunc(func() { close(tried) })
	go func() {
		defer close(e.done)
		for ctx.Err() == nil {
			_ = c.listen(ctx, func() { e.open.Store(true); begun() }, see)
			e.open.Store(false)
			begun()
			sleep(ctx, pollEvery)
		}
	}()
	select {
	case <-tried:
	case <-time.After(listenWithin):
	case <-ctx.Done():
	}
	return e
}

func (e *ears) close() {
	e.stop()
	<-e.done
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// waitForSyncs waits until all syncs have ended, and shows each look at one that has
// not.
func (c *client) waitForSyncs(ctx context.Context, ids []string, show ...func(syncRecord)) ([]syncRecord, error) {
	syncs := make([]syncRecord, len(ids))
	for {
		running := 0
		for i, id := range ids {
			if syncs[i].ended() {
				continue
			}
			err := c.call(ctx, http.MethodGet, "/api/v1/storage/syncs/"+url.PathEscape(id), nil, &syncs[i])
			if e, ok := errors.AsType[*apiError](err); err != nil && (!ok || e.Code != "NO_LEADER") {
				return nil, fmt.Errorf("lost sight of the sync, which goes on; `firescan sync list` shows it: %w", err)
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
		if sleep(ctx, pollEvery); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// report tells how the syncs ended.
func (a *app) report(view *progressView, ended []syncRecord, names map[string]string) error {
	for _, s := range ended {
		view.end(s)
	}
	view.close()
	var failed []error
	for _, s := range ended {
		name := nameOf(names, s.DestinationID)
		if s.Status != "completed" {
			why := s.Error
			if why == "" {
				why = s.Status
			}
			failed = append(failed, fmt.Errorf("the sync of %s did not complete: %s", name, why))
			continue
		}
		if !a.json {
			took := s.FinishedAt.Sub(*s.StartedAt).Round(time.Millisecond)
			fmt.Fprintf(a.out, "%s: %s files (%s) in %v, %s orphans, %s backups miss their file\n",
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

// progressView shows the progress of syncs: bars for a person, lines for a log.
type progressView struct {
	bars  *bars
	lines *progressLines
}

func newProgressView(ctx context.Context, out io.Writer, person bool, names map[string]string) *progressView {
	if person {
		return &progressView{bars: newBars(ctx, out, names)}
	}
	return &progressView{lines: newProgressLines(out, names)}
}

func (v *progressView) see(p progress) {
	if v.bars != nil {
		v.bars.see(p)
	} else {
		v.lines.see(p)
	}
}

func (v *progressView) end(s syncRecord) {
	if v.bars != nil {
		v.bars.end(s)
	}
}

func (v *progressView) close() {
	if v.bars != nil {
		v.bars.close()
	}
}
