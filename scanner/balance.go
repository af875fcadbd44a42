package scanner

import (
	"cmp"
	"slices"

	"firescan/scanner/split"
)

// balance grants the pending ranges to the workers with idle streams, each its part. When
// there are too few, the workers with the highest load are asked to give ranges back.
func (l *leases) balance() {
	available := l.available()
	idle := 0
	for _, w := range available {
		idle += w.idle
	}
	for _, w := range available {
		if w.idle == 0 || len(l.pending) == 0 {
			continue
		}
		k := (len(l.pending)*w.idle + idle - 1) / idle
		idle -= w.idle
		w.grants = append(w.grants, l.removePending(k)...)
		w.idle = max(0, w.idle-k)
	}
	if len(l.pending) == 0 {
		l.askBack(available)
	}
}

// removePending removes k of the pending ranges, spread over the key space: neighbors are
// alike, and so each worker gets some of all kinds.
func (l *leases) removePending(k int) []split.PlannedRange {
	n := len(l.pending)
	removed := make([]split.PlannedRange, 0, k)
	kept := l.pending[:0]
	for i, p := range l.pending {
		if i*k/n == (i+1)*k/n {
			kept = append(kept, p)
			continue
		}
		removed = append(removed, p)
	}
	clear(l.pending[len(kept):])
	l.pending = kept
	return removed
}

// askBack wants ranges from the workers that would still have the highest load per
// stream.
func (l *leases) askBack(available []*workerState) {
	needed := 0
	for _, w := range available {
		needed += w.idle - w.want - w.asked
	}
	var loaded []*workerState
	for _, w := range available {
		if w.want+w.asked == 0 && w.streams > 0 {
			loaded = append(loaded, w)
		}
	}
	perStream := func(w *workerState) float64 { return w.load / float64(w.streams+w.want) }
	for ; needed > 0 && len(loaded) > 0; needed-- {
		most := slices.MaxFunc(loaded, func(a, b *workerState) int { return cmp.Compare(perStream(a), perStream(b)) })
		if perStream(most) < l.pageSize {
			return
		}
		if needed <= most.idle { // only its own streams are idle, which steal by themselves
			loaded = slices.DeleteFunc(loaded, func(w *workerState) bool { return w == most })
			needed++
			continue
		}
		most.want++
	}
}
