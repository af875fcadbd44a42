package systemtest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// A listing records which keys a bucket has listed, and when.
type listing struct {
	mu    sync.Mutex
	pages []listedPage
}

// A listedPage is the range of the ranks of the keys of a page.
type listedPage struct {
	at          time.Time
	first, last uint64 // excluding last
}

// record records a request. It injects no fault.
func (l *listing) record(keys *bucketserver.Keys, pageSize int, r bucketserver.ListRequest) bucketserver.Fault {
	first := keys.Rank([]byte(r.From))
	last := min(first+uint64(min(pageSize, r.MaxKeys)), keys.Len())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages = append(l.pages, listedPage{time.Now(), first, last})
	return bucketserver.None
}

// reset forgets the pages listed so far.
func (l *listing) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages = nil
}

// relisted returns the share of the n keys that were listed both before and after a
// moment, except overlaps of less than a page: those also occur without faults when
// ranges are split.
func (l *listing) relisted(n uint64, moment time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	const before, after = 1, 2
	marks := make([]byte, n+1) // the last mark ends a run
	longest := uint64(0)
	for _, p := range l.pages {
		mark := byte(before)
		if p.at.After(moment) {
			mark = after
		}
		for i := p.first; i < p.last; i++ {
			marks[i] |= mark
		}
		longest = max(longest, p.last-p.first)
	}
	twice, run := uint64(0), uint64(0)
	for _, m := range marks {
		if m == before|after {
			run++
			continue
		}
		if run >= longest {
			twice += run
		}
		run = 0
	}
	return float64(twice) / float64(n)
}

// halfTime returns when half of all pages had been listed.
func (l *listing) halfTime() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	sorted := slices.SortedFunc(slices.Values(l.pages), func(a, b listedPage) int { return a.at.Compare(b.at) })
	if len(sorted) == 0 {
		return time.Time{}
	}
	return sorted[len(sorted)/2].at
}

func TestListing(t *testing.T) {
	keys, err := bucketserver.NewKeys(bucketserver.Flat, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var l listing
	list := func(first uint64, most int) {
		l.record(keys, 100, bucketserver.ListRequest{From: string(keys.AppendKey(nil, first)), MaxKeys: most})
		time.Sleep(time.Millisecond)
	}
	list(0, 1000)
	list(100, 1000)
	list(300, 1000)
	if half := l.halfTime(); !half.Equal(l.pages[1].at) {
		t.Errorf("half was listed at %v, want %v", half, l.pages[1].at)
	}
	moment := time.Now()
	list(60, 1000)
	list(160, 20)   // 60 to 180 are listed again
	list(350, 1000) // overlaps by 50, less than a page
	list(950, 1000)
	if got := l.relisted(1000, moment); got != 0.12 {
		t.Errorf("%.3f were listed again, want 0.12", got)
	}
	if l.reset(); l.relisted(1000, moment) != 0 {
		t.Error("pages are left after a reset")
	}
}
