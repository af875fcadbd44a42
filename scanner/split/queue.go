// Package split divides a key space among streams that list it: a first plan, a queue of
// ranges from which idle streams steal, and a model of the keys by which both are cut.
// See DESIGN.md.
package split

import (
	"context"
	"slices"
	"sync"

	"firescan/catalog"
	"firescan/keyspace"
)

// PageSize is the maximum number of keys in a page of a provider.
const PageSize = 1000

// minPages is the least number of pages left in a range that is cut.
const minPages = 3

// A PlannedRange is a range to list with the number of keys to expect in it; 0 is
// unknown.
type PlannedRange struct {
	keyspace.Range
	Keys float64
}

// UnknownSize returns the ranges as planned ranges of unknown size.
func UnknownSize(ranges ...keyspace.Range) []PlannedRange {
	plan := make([]PlannedRange, len(ranges))
	for i, r := range ranges {
		plan[i].Range = r
	}
	return plan
}

// A RangeQueue shares the ranges of one node and one sync among streams. A stream without
// a range claims a waiting one, or the far part of the largest claimed one. It is safe
// for concurrent use and makes no requests.
//
// Invariant: waiting and claimed ranges never overlap, and together with those listed to
// their end and those given back they tile the ranges that were added.
type RangeQueue struct {
	// work is broadcast when a stream without a range may find one, changed with every page
	// and by every stream that finds none.
	work    catalog.Signal
	changed *catalog.Signal

	mu       sync.Mutex
	model    *keyModel
	pageSize float64
	waiting  []*Claim
	claimed  map[*Claim]struct{}
	idle     int // streams without a range
	done     int // ranges listed to their end
	// isFresh is set until something is added, isExhausted while nothing has changed since
	// a stream found no range.
	isFresh, isExhausted bool
}

// NewRangeQueue returns an empty queue. It broadcasts changed with every page and
// whenever a stream becomes idle.
func NewRangeQueue(pageSize int, changed *catalog.Signal) *RangeQueue {
	return &RangeQueue{
		changed:  changed,
		model:    newKeyModel(),
		pageSize: float64(pageSize),
		claimed:  map[*Claim]struct{}{},
		isFresh:  true,
	}
}

// Add adds ranges.
func (q *RangeQueue) Add(plan []PlannedRange) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range plan {
		q.push(p)
	}
	q.isFresh = false
}

func (q *RangeQueue) push(p PlannedRange) {
	expected := p.Keys
	if expected == 0 {
		expected = -1
	}
	q.waiting = append(q.waiting, &Claim{queue: q, rest: p.Range, expected: expected})
	q.isExhausted = false
	q.work.Broadcast()
}

// Next waits for a range to list, or for the end of ctx.
func (q *RangeQueue) Next(ctx context.Context) (*Claim, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.idle++
	defer func() { q.idle-- }()
	for isFirst := true; ; isFirst = false {
		work := q.work.Wait()
		if c := q.pop(); c != nil {
			return c, nil
		}
		if isFirst {
			q.changed.Broadcast()
		}
		q.mu.Unlock()
		var err error
		select {
		case <-work:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		q.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// TryNext is Next for a single-threaded caller such as a simulation: it returns nil when
// there is no range now. idle is the number of streams without a range.
func (q *RangeQueue) TryNext(idle int) *Claim {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.idle = idle
	c := q.pop()
	if c != nil {
		q.idle--
	}
	return c
}

// pop claims the largest waiting range, or a part of the largest claimed one.
func (q *RangeQueue) pop() *Claim {
	if len(q.waiting) == 0 && !q.isExhausted {
		q.steal()
	}
	if len(q.waiting) == 0 {
		q.isExhausted = true
		return nil
	}
	largest := 0
	for i, c := range q.waiting {
		if c.keysLeft() > q.waiting[largest].keysLeft() {
			largest = i
		}
	}
	c := q.waiting[largest]
	q.waiting = slices.Delete(q.waiting, largest, largest+1)
	q.claimed[c] = struct{}{}
	return c
}

// steal moves the far part of the largest claimed range to the waiting ranges. A range
// with known surroundings is cut in half, another one at every scale into as many pieces
// as there are idle streams.
func (q *RangeQueue) steal() {
	var victim *Claim
	most := minPages * q.pageSize
	for c := range q.claimed {
		if left := c.keysLeft(); left >= most && c.listedSinceCut {
			victim, most = c, left
		}
	}
	if victim == nil {
		return
	}
	cuts := victim.cuts(q.idle)
	if len(cuts) == 0 {
		// No key to cut at yet; the next page may show one.
		victim.listedSinceCut = false
		return
	}
	for _, p := range victim.cut(most, cuts) {
		q.push(p)
	}
}

// Spare returns how many of the streams have nothing to do.
func (q *RangeQueue) Spare(streams int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isFresh {
		return streams
	}
	return max(0, q.idle-len(q.waiting))
}
