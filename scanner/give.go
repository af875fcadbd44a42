package scanner

import (
	"cmp"
	"slices"

	"firescan/keyspace"
)

// spare is how many of the streams have nothing to do.
func (t *table) spare(streams int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh {
		return streams
	}
	return max(0, t.idle-len(t.waiting))
}

// give takes up to n ranges out of the table, for other nodes to list: a fair part of
// the waiting ones, else far parts of the held ones, the largest most often. Streams of
// this node that have nothing to do get their part of the cut.
func (t *table) give(n, streams int) []PlannedRange {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n <= 0 {
		return nil
	}
	if len(t.waiting) > 0 {
		return t.deal(n, n+streams)
	}
	t.cut(n + t.idle)
	return t.deal(n, n+t.idle)
}

// deal takes n of every so many waiting ranges, but no more than n, large and small ones
// alike.
func (t *table) deal(n, of int) []PlannedRange {
	w := len(t.waiting)
	n = min(n, (w*n+of-1)/of)
	if n == 0 {
		return nil
	}
	slices.SortStableFunc(t.waiting, func(a, b *hold) int { return cmp.Compare(b.guess, a.guess) })
	given := make([]PlannedRange, 0, n)
	kept := t.waiting[:0]
	for i, h := range t.waiting {
		if i*n/w == (i+1)*n/w {
			kept = append(kept, h)
			continue
		}
		given = append(given, PlannedRange{h.rng, max(h.guess, 0)})
	}
	clear(t.waiting[len(kept):])
	t.waiting = kept
	return given
}

// cut puts up to n parts of the held ranges among the waiting ones, so that no part is
// much larger than the others, or not worth a stream's while.
func (t *table) cut(n int) {
	var large []*piece
	for h := range t.held {
		if left := h.left(); h.rested && left >= 3*t.pageSize {
			large = append(large, &piece{h, left, 1})
		}
	}
	for ; n > 0 && len(large) > 0; n-- {
		most := slices.MaxFunc(large, func(a, b *piece) int { return cmp.Compare(a.size(), b.size()) })
		if most.size() < 3*t.pageSize {
			break
		}
		most.parts++
	}
	for _, p := range large {
		if p.parts == 1 {
			continue
		}
		cuts := p.evenly(p.parts - 1)
		if len(cuts) == 0 {
			p.rested = false
			continue
		}
		for _, r := range p.part(p.left, cuts) {
			t.wait(r)
		}
	}
}

// piece is a held range that may be cut in so many parts.
type piece struct {
	*hold
	left  float64
	parts int
}

func (p *piece) size() float64 { return p.left / float64(p.parts) }

// evenly answers n keys, or fewer, that part the range in equal parts when that can be
// told.
func (h *hold) evenly(n int) []string {
	a, lo := h.table.alphabet, keyspace.TrimAfter(h.rng.Start)
	if n == 1 || !a.sure(lo, h.rng.End) {
		return h.cuts(n)
	}
	var keys []string
	for i := range n {
		if key := a.between(lo, h.rng.End, float64(i+1)/float64(n+1)); key != "" {
			keys = append(keys, keyspace.After(key))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
