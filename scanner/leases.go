package scanner

import (
	"maps"
	"slices"
	"strings"
	"time"

	"firescan/keyspace"
	spb "firescan/scanner/scannerpb"
	"firescan/scanner/split"
)

// leases record which worker has which part of a sync's key space. They are in the
// leader's memory only and for one goroutine.
//
// Invariant: pending, granted, held and unconfirmed ranges do not overlap unless a worker
// broke its lease, and together with the recorded segments they cover the key space.
type leases struct {
	pageSize float64
	// nextSeq returns the sequence number of the next assignment.
	nextSeq func() uint64
	workers map[string]*workerState
	// pending are the ranges that no worker has, in order.
	pending []split.PlannedRange
	// unconfirmed are ranges that a worker had and no longer has: either recorded in the
	// catalog or to be listed again.
	unconfirmed keyspace.RangeSet
	// before counts what was recorded by no known worker.
	before counters
}

// workerState is what the leader knows of a worker.
type workerState struct {
	id string
	// seq is that of the newest assignment.
	seq uint64
	// held are the ranges that the worker may be listing: those of its newest report and
	// those sent since.
	held keyspace.RangeSet
	// grants and want are for the next assignment; asked is want of the newest one.
	grants []split.PlannedRange
	want   int
	asked  int
	// isKnown is set while the worker responds; lastReport is the time of its newest report,
	// or of when it joined.
	isKnown    bool
	lastReport time.Time
	failure    *spb.Failure // nil unless the worker no longer takes part
	// idle is the number of streams without work, less the ranges granted since.
	streams, idle int
	load          float64
	counters      workerCounters
}

// join adds a worker; it is granted nothing before its first report.
func (l *leases) join(id string, now time.Time) *workerState {
	w := l.workers[id]
	if w == nil {
		w = &workerState{id: id, lastReport: now}
		l.workers[id] = w
	}
	return w
}

// sorted returns the workers in order of their ids.
func (l *leases) sorted() []*workerState {
	return slices.SortedFunc(maps.Values(l.workers), func(a, b *workerState) int { return strings.Compare(a.id, b.id) })
}

// available returns the workers that may be granted ranges.
func (l *leases) available() []*workerState {
	return slices.DeleteFunc(l.sorted(), func(w *workerState) bool { return !w.isKnown || w.failure != nil })
}

// assignment returns the next assignment of a worker.
func (l *leases) assignment(w *workerState) *spb.Assignment {
	w.seq = l.nextSeq()
	a := &spb.Assignment{Seq: w.seq, Want: uint32(w.want), Idle: uint32(w.idle), Grants: make([]*spb.Range, len(w.grants))}
	sent := make(keyspace.RangeSet, len(w.grants))
	for i, g := range w.grants {
		a.Grants[i], sent[i] = protoRange(g), g.Range
	}
	w.held = w.held.Union(sent...)
	w.grants, w.asked, w.want = nil, w.want, 0
	a.Busy = len(w.held) > 0
	return a
}

// renew handles a worker's report on its newest assignment.
func (l *leases) renew(w *workerState, r *spb.StatusReport, now time.Time) {
	held := make([]keyspace.Range, len(r.Held))
	for i, h := range r.Held {
		held[i] = keyspace.NewRange(h.Start, h.End)
	}
	gone := w.held
	w.held = keyspace.NewRangeSet(held)
	gone = gone.Subtract(w.held)
	w.isKnown, w.lastReport, w.failure, w.asked = true, now, r.Failure, 0
	var returned []split.PlannedRange
	var back []keyspace.Range
	for _, g := range r.Returned {
		p := split.PlannedRange{Range: keyspace.NewRange(g.Start, g.End), Keys: g.Keys}
		if gone.Covers(p.Range) { // else its lease expired before
			returned, back = append(returned, p), append(back, p.Range)
		}
	}
	l.unconfirmed = l.unconfirmed.Union(gone.Subtract(keyspace.NewRangeSet(back))...)
	l.release(returned)
	w.streams, w.idle, w.load = int(r.Streams), max(0, int(r.Idle)-len(w.grants)), r.Load
	if w.failure != nil {
		l.withdraw(w)
	}
	w.counters.update(r, &l.before)
}

// expire ends the leases of the workers without a report for as long as their lease, and
// returns the ids of those.
func (l *leases) expire(now time.Time, lease func(id string) time.Duration) (expired []string) {
	for _, w := range l.sorted() {
		if now.Sub(w.lastReport) < lease(w.id) {
			continue
		}
		if w.isKnown || len(w.held) > 0 {
			expired = append(expired, w.id)
		}
		l.withdraw(w)
		l.unconfirmed = l.unconfirmed.Union(w.held...)
		w.held, w.isKnown = nil, false
		w.counters.dropUnrecorded()
	}
	return expired
}

// withdraw makes the unsent grants of a worker pending again.
func (l *leases) withdraw(w *workerState) {
	l.add(w.grants...)
	w.grants, w.want, w.idle, w.load = nil, 0, 0, 0
}

// confirm makes the unconfirmed ranges that are not recorded pending again.
func (l *leases) confirm(recorded keyspace.RangeSet) {
	lost := l.unconfirmed.Subtract(recorded)
	l.unconfirmed = nil
	l.release(split.UnknownSize(lost...))
}

// release makes those parts of the ranges pending that no worker has.
func (l *leases) release(ranges []split.PlannedRange) {
	if len(ranges) == 0 {
		return
	}
	var taken []keyspace.Range
	for _, w := range l.workers {
		taken = append(taken, w.held...)
		for _, g := range w.grants {
			taken = append(taken, g.Range)
		}
	}
	for _, p := range l.pending {
		taken = append(taken, p.Range)
	}
	all := keyspace.NewRangeSet(taken)
	for _, p := range ranges {
		for _, r := range (keyspace.RangeSet{p.Range}).Subtract(all) {
			l.pending = append(l.pending, split.PlannedRange{Range: r, Keys: p.Keys})
		}
	}
	l.add()
}

// add makes ranges pending that no worker has.
func (l *leases) add(ranges ...split.PlannedRange) {
	l.pending = append(l.pending, ranges...)
	slices.SortFunc(l.pending, func(a, b split.PlannedRange) int { return strings.Compare(a.Start, b.Start) })
}

// leased reports whether any range is leased.
func (l *leases) leased() bool { return l.holders() > 0 }

// holders returns the number of workers with ranges.
func (l *leases) holders() (n int) {
	for _, w := range l.workers {
		if len(w.held)+len(w.grants) > 0 {
			n++
		}
	}
	return n
}

// held returns the ranges that workers hold.
func (l *leases) held() (all keyspace.RangeSet) {
	for _, w := range l.workers {
		all = all.Union(w.held...)
	}
	return all
}

// snapshot sums up the counters of the workers.
func (l *leases) snapshot() *snapshot {
	s := &snapshot{listed: l.before, total: len(l.pending)}
	for _, w := range l.sorted() {
		c := &w.counters
		s.listed = s.listed.plus(c.allListed())
		s.keysLeft += c.keysLeft
		s.done += c.done
		s.total += c.total
		if c.total > 0 {
			s.nodes = append(s.nodes, w.id)
		}
	}
	for _, p := range l.pending {
		s.keysLeft += max(p.Keys, l.pageSize)
	}
	return s
}

func protoRange(p split.PlannedRange) *spb.Range {
	return &spb.Range{Start: []byte(p.Start), End: []byte(p.End), Keys: p.Keys}
}
