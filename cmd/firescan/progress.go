package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	apiclient "firescan/api/client"
)

// A progressView shows the progress of syncs. It is safe for concurrent use.
type progressView interface {
	update(p progress)
	// end shows the final state of a sync.
	end(s syncRecord)
	close()
}

// newProgressView returns bars for a terminal, and lines for a log.
func newProgressView(ctx context.Context, out io.Writer, terminal bool, names map[string]string) progressView {
	if terminal {
		return newBars(ctx, out, names)
	}
	return newProgressLines(out, names)
}

// barSteps is the length of a bar, in hundredths of a percent.
const barSteps = 100_00

// bars show each sync as a bar.
type bars struct {
	names map[string]string
	group *mpb.Progress

	mu     sync.Mutex
	bySync map[string]*syncBar
	closed bool
}

type syncBar struct {
	bar *mpb.Bar
	mu  sync.Mutex
	now progress
}

func newBars(ctx context.Context, out io.Writer, names map[string]string) *bars {
	return &bars{
		names: names, group: mpb.NewWithContext(ctx, mpb.WithOutput(out), mpb.WithWidth(100)),
		bySync: map[string]*syncBar{},
	}
}

func (b *bars) update(p progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	s := b.bySync[p.SyncID]
	if s == nil {
		s = &syncBar{}
		s.bar = b.group.AddBar(barSteps,
			mpb.PrependDecorators(decor.Name(nameOf(b.names, p.DestinationID), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(s.text)))
		b.bySync[p.SyncID] = s
	}
	s.mu.Lock()
	s.now = p
	s.mu.Unlock()
	if p.Percent != nil {
		// Only end completes a bar.
		s.bar.SetCurrent(min(int64(*p.Percent*100), barSteps-1))
	}
}

func (s *syncBar) text(decor.Statistics) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return progressText(s.now)
}

// end completes the bar of a successful sync, and stops that of others.
func (b *bars) end(r syncRecord) {
	b.update(r.progress())
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.bySync[r.ID]; s != nil {
		if r.Status == apiclient.SyncStatusCompleted {
			s.bar.SetCurrent(barSteps)
		} else {
			s.bar.Abort(false)
		}
	}
}

func (b *bars) close() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	for _, s := range b.bySync {
		s.bar.Abort(false) // no effect on a complete bar
	}
	b.mu.Unlock()
	b.group.Wait()
}

// progressLines print the progress of each sync at most once per lineInterval.
type progressLines struct {
	out   io.Writer
	names map[string]string

	mu   sync.Mutex
	last map[string]time.Time
}

// lineInterval keeps the log of a long sync short.
const lineInterval = 5 * time.Second

func newProgressLines(out io.Writer, names map[string]string) *progressLines {
	return &progressLines{out: out, names: names, last: map[string]time.Time{}}
}

func (*progressLines) end(syncRecord) {}
func (*progressLines) close()         {}

func (l *progressLines) update(p progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.last[p.SyncID]) < lineInterval {
		return
	}
	l.last[p.SyncID] = now
	percent := ""
	if p.Percent != nil {
		percent = fmt.Sprintf(" %.0f%%", *p.Percent)
	}
	fmt.Fprintf(l.out, "%s:%s%s\n", nameOf(l.names, p.DestinationID), percent, progressText(p))
}

// minETAPercent is the minimum progress for which the remaining time is shown.
const minETAPercent = 1

// progressText returns the text beside a bar.
func progressText(p progress) string {
	text := fmt.Sprintf(" %s files, %s orphans, %s/s", count(p.FilesScanned), count(p.OrphanFiles), count(int64(p.FilesPerSecond)))
	early := p.Percent != nil && *p.Percent < minETAPercent
	if p.ETASeconds != nil && *p.ETASeconds >= 1 && !early {
		text += fmt.Sprintf(", %v left", time.Duration(*p.ETASeconds*float64(time.Second)).Round(time.Second))
	}
	return text
}

func nameOf(names map[string]string, id string) string {
	if name := names[id]; name != "" {
		return pathText(name)
	}
	return id
}
