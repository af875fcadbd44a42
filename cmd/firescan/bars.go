package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// barSteps is the length of a bar: percent are told in hundredths.
const barSteps = 100_00

// bars show each sync as a bar on a terminal. They are safe for concurrent use.
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

func (b *bars) see(p progress) {
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
		// The last step is the end's, told by the record of the sync.
		s.bar.SetCurrent(min(int64(*p.Percent*100), barSteps-1))
	}
}

func (s *syncBar) text(decor.Statistics) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return progressText(s.now)
}

// end fills the bar of a sync that has completed, and leaves others where they stand.
func (b *bars) end(r syncRecord) {
	b.see(r.progress())
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.bySync[r.ID]; s != nil {
		if r.Status == "completed" {
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
		s.bar.Abort(false) // no effect on a full one
	}
	b.mu.Unlock()
	b.group.Wait()
}

// progressLines print the progress of each sync at most once in some seconds.
type progressLines struct {
	out   io.Writer
	names map[string]string

	mu   sync.Mutex
	last map[string]time.Time
}

// lineEvery keeps a log of a long sync short.
const lineEvery = 5 * time.Second

func newProgressLines(out io.Writer, names map[string]string) *progressLines {
	return &progressLines{out: out, names: names, last: map[string]time.Time{}}
}

func (l *progressLines) see(p progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.last[p.SyncID]) < lineEvery {
		return
	}
	l.last[p.SyncID] = now
	percent := ""
	if p.Percent != nil {
		percent = fmt.Sprintf(" %.0f%%", *p.Percent)
	}
	fmt.Fprintf(l.out, "%s:%s%s\n", nameOf(l.names, p.DestinationID), percent, progressText(p))
}

// leastForETA is the percent below which the time that is left is a guess, and not told.
const leastForETA = 1

// progressText is what is said beside a bar.
func progressText(p progress) string {
	text := fmt.Sprintf(" %s files, %s orphans, %s/s", count(p.FilesScanned), count(p.OrphanFiles), count(uint64(p.FilesPerSecond)))
	guess := p.Percent != nil && *p.Percent < leastForETA
	if p.ETASeconds != nil && *p.ETASeconds >= 1 && !guess {
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
