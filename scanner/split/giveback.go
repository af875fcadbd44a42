package split

import (
	"cmp"
	"slices"
)

// GiveBack removes up to n ranges from the queue, for other nodes to list: a fair part of
// the waiting ones, or else far parts of the claimed ones, mostly of the largest. Idle
// streams of this node get their part of such cuts.
func (q *RangeQueue) GiveBack(n, streams int) []PlannedRange {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n <= 0 {
		return nil
	}
	if len(q.waiting) > 0 {
		return q.removeWaiting(n, n+streams)
	}
	q.cutClaimed(n + q.idle)
	return q.removeWaiting(n, n+q.idle)
}

// removeWaiting removes n of every so many waiting ranges, at most n, large and small
// ones alike.
func (q *RangeQueue) removeWaiting(n, of int) []PlannedRange {
	w := len(q.waiting)
	n = min(n, (w*n+of-1)/of)
	if n == 0 {
		return nil
	}
	slices.SortStableFunc(q.waiting, func(a, b *Claim) int { return cmp.Compare(b.expected, a.expected) })
	removed := make([]PlannedRange, 0, n)
	kept := q.waiting[:0]
	for i, c := range q.waiting {
		if i*n/w == (i+1)*n/w {
			kept = append(kept, c)
			continue
		}
		removed = append(removed, PlannedRange{c.rest, max(c.expected, 0)})
	}
	clear(q.waiting[len(kept):])
	q.waiting = kept
	return removed
}

// cutClaimed moves up to n parts of the claimed ranges to the waiting ones, so that no
// part is much larger than the others or too small to be worth a stream.
func (q *RangeQueue) cutClaimed(n int) {
	var large []*pieces
	for c := range q.claimed {
		if left := c.keysLeft(); c.listedSinceCut && left >= minPages*q.pageSize {
			large = append(large, &pieces{c, left, 1})
		}
	}
	for ; n > 0 && len(large) > 0; n-- {
		most := slices.MaxFunc(large, func(a, b *pieces) int { return cmp.Compare(a.size(), b.size()) })
		if most.size() < minPages*q.pageSize {
			break
		}
		most.n++
	}
	for _, p := range large {
		if p.n == 1 {
			continue
		}
		cuts := p.claim.evenCuts(p.n - 1)
		if len(cuts) == 0 {
			p.claim.listedSinceCut = false
			continue
		}
		for _, r := range p.claim.cut(p.left, cuts) {
			q.push(r)
		}
	}
}

// pieces is a claimed range that may be cut into n pieces.
type pieces struct {
	claim *Claim
	left  float64
	n     int
}

func (p *pieces) size() float64 { return p.left / float64(p.n) }
