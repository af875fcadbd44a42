package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// pollEvery is how often the syncs are asked for: the events tell how they go, their
// records how they ended, also when an event was lost.
const pollEvery = 500 * time.Millisecond

// syncAndWatch starts a sync of a destination, or of all, and shows it to its end.
func (a *app) syncAndWatch(ctx context.Context, c *client, destination string) error {
	var names map[string]string
	var all []struct{ ID, Name string }
	if err := c.call(ctx, http.MethodGet, "/api/v1/storage/destinations", nil, &all); err != nil {
		return err
	}
	names = make(map[string]string, len(all))
	for _, d := range all {
		names[d.ID] = d.Name
	}
	view := newProgressView(ctx, a.err, terminal(a.err), names)
	defer view.close()

	// Listening begins before the sync does, so that not even its first event is missed.
	listening, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan struct{})
	heard := make(chan struct{})
	var deaf error // read it only after heard is closed
	go func() {
		defer close(heard)
		deaf = c.listen(listening, ready, view.see)
	}()
	select {
	case <-ready:
	case <-heard:
		return deaf
	}
	var started startedSyncs
	if err := c.call(ctx, http.MethodPost, syncPath(destination), nil, &started); err != nil {
		return err
	}
	ended, err := c.waitForSyncs(ctx, started.SyncIDs)
	stop()
	<-heard // from here on the records alone tell the end
	if err != nil {
		return err
	}
	return a.report(view, ended, names)
}

// waitForSyncs waits until all syncs have ended.
func (c *client) waitForSyncs(ctx context.Context, ids []string) ([]syncRecord, error) {
	ended := make([]syncRecord, len(ids))
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for i := 0; i < len(ids); {
		err := c.call(ctx, http.MethodGet, "/api/v1/storage/syncs/"+url.PathEscape(ids[i]), nil, &ended[i])
		if e, ok := errors.AsType[*apiError](err); err != nil && (!ok || e.Code != "NO_LEADER") {
			return nil, fmt.Errorf("lost sight of the sync, which goes on; `firescan syncs` shows it: %w", err)
		}
		if err == nil && ended[i].ended() {
			i++
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return ended, nil
}

// report tells how the syncs ended.
func (a *app) report(view *progressView, ended []syncRecord, names map[string]string) error {
	for _, s := range ended {
		view.end(s)
	}
	view.close()
	var failed []error
	for _, s := range ended {
		name := names[s.DestinationID]
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
		if err := printJSON(a.out, ended); err != nil {
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
