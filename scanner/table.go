package scanner

import (
	"context"
	"slices"
	"sync"

	"firescan/catalog"
	"firescan/keyspace"
)

// table shares the ranges that a node holds of one sync out among its streams. A stream
// without a range takes a waiting one, or the far part of the one that has most
// left. It is safe for concurrent use; it makes no request itself.
//
// Invariant: the waiting ranges and the held ones never overlap, and together with
// what was listed to its end and what was given back they tile what was added.
type table struct {
	// work is raised when a stream without a range may find one, changed with every page
	// and every stream that finds none.
	work, changed catalog.Signal

	mu       sync.Mutex
	alphabet *alphabet
	pageSize float64
	waiting  []*hold
	held     map[*hold]struct{}
	idle     int
	done     int
	// fresh is set until something was added, barren while nothing has changed since a
	// stream looked for work in vain.
	fresh, barren bool
}

// hold is a range in the hands of one stream, or waiting for one.
type hold struct {
	table *table
	// rng is what is left: Start moves on with every page, End comes nearer when a
	// part is taken away. Guarded by table.mu, like all of it.
	rng keyspace.Range
	// first is the first key that was listed, newest that of the last page: together with
	// how many keys have come since they tell how dense the range is, all in all and here.
	first, newest      string
	keys, keysOfNewest float64
	pages              int
	// guess is how many keys are expected before anything was listed; negative is unknown.
	guess float64
	// near is how many bytes the keys of the newest page have in common: a cut behind
	// the character that follows would fall within one page.
	near int
	// rested is set when a page was listed since a part was last taken away.
	rested bool
}

// unknownKeys stands for a range of which nothing is known: more than any other.
const unknownKeys = 1e12

// reckonable is up to how many keys a range may be reckoned to have for people to be told:
// more than that comes from characters that are only supposed yet.
const reckonable = 1e9

func newTable(pageSize int) *table {
	return &table{
		alphabet: newAlphabet(),
		pageSize: float64(pageSize),
		held:     map[*hold]struct{}{},
		fresh:    true,
	}
}

// add puts ranges among the waiting ones.
func (t *table) add(plan []PlannedRange) {
	t.mu.Lock()
	for _, p := range plan {
		t.wait(p)
	}
	t.fresh = false
	t.mu.Unlock()
}

func (t *table) wait(p PlannedRange) {
	guess := p.Keys
	if guess == 0 {
		guess = -1
	}
	t.waiting = append(t.waiting, &hold{table: t, rng: p.Range, guess: guess})
	t.barren = false
	t.work.Broadcast()
}

// next answers a range to list. It waits until there is one, or for the end of ctx.
func (t *table) next(ctx context.Context) (*hold, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle++
	defer func() { t.idle-- }()
	for told := false; ; told = true {
		work := t.work.Wait()
		if h := t.take(); h != nil {
			t.held[h] = struct{}{}
			return h, nil
		}
		if !told {
			t.changed.Broadcast()
		}
		t.mu.Unlock()
		var err error
		select {
		case <-work:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		t.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// take answers the largest waiting range, else a part of the largest held one.
func (t *table) take() *hold {
	if len(t.waiting) == 0 && !t.barren {
		t.share()
	}
	if len(t.waiting) == 0 {
		t.barren = true
		return nil
	}
	largest := 0
	for i, h := range t.waiting {
		if h.left() > t.waiting[largest].left() {
			largest = i
		}
	}
	h := t.waiting[largest]
	t.waiting = slices.Delete(t.waiting, largest, largest+1)
	return h
}

// share takes the far part of the held range with the most left, and puts it among
// the waiting ones. A range whose surroundings are known well is cut in half; else
// in as many pieces as there are idle streams, at every scale.
func (t *table) share() {
	var victim *hold
	most := 3 * t.pageSize
	for h := range t.held {
		if left := h.left(); left >= most && h.rested {
			victim, most = h, left
		}
	}
	if victim == nil {
		return
	}
	// No part smaller than half of the least that is worth a cut.
	cuts := victim.cuts(t.idle)
	if len(cuts) == 0 {
		// Nothing to cut at yet; the next page may show something.
		victim.rested = false
		return
	}
	for _, p := range victim.part(most, cuts) {
		t.wait(p)
	}
}

// part cuts the range at the given keys, keeps the first part, and answers the others.
// left is how many keys it was reckoned to have.
func (h *hold) part(left float64, cuts []string) []PlannedRange {
	left /= float64(len(cuts) + 1)
	if left >= unknownKeys/1e6 {
		left = 0
	}
	ranges := h.rng.Split(cuts...)
	h.rng = ranges[0]
	if h.guess = left; left == 0 {
		h.guess = -1
	}
	h.rested = h.known()
	parts := make([]PlannedRange, 0, len(ranges)-1)
	for _, r := range ranges[1:] {
		parts = append(parts, PlannedRange{r, left})
	}
	return parts
}

// known tells whether the range is one whose remaining keys can be reckoned.
func (h *hold) known() bool { return h.pages > 0 && h.left() < unknownKeys }

// cuts answers where to part the range: one key halfway, or several at all scales
// when the characters that decide are not known well. n is how many are of use.
func (h *hold) cuts(n int) []string {
	a, lo := h.table.alphabet, keyspace.TrimAfter(h.rng.Start)
	if n < 8 || a.sure(lo, h.rng.End) {
		if key := a.between(lo, h.rng.End, 0.5); key != "" {
			return []string{keyspace.After(key)}
		}
	}
	keys := a.scales(lo, h.rng.End, h.near, max(n, 1))
	for i, k := range keys {
		keys[i] = keyspace.After(k)
	}
	return keys
}

// left reckons how many keys are still to be listed.
func (h *hold) left() float64 {
	if h.pages == 0 || h.first == "" {
		if h.guess < 0 {
			return unknownKeys
		}
		return h.guess
	}
	a := h.table.alphabet
	at := keyspace.TrimAfter(h.rng.Start)
	rest := a.distance(at, h.rng.End)
	left := -1.0
	// Where keys come in clusters the gaps between them make it look thin all in all. To
	// cut a small range costs a list or two, to leave a large one alone costs the scan.
	for _, since := range []struct {
		key  string
		keys float64
	}{{h.first, h.keys}, {h.newest, h.keysOfNewest}} {
		if done := a.distance(since.key, at); done > 0 {
			left = max(left, since.keys*rest/done)
		}
	}
	if left < 0 {
		return max(h.guess, 0)
	}
	return min(left, unknownKeys)
}

// remaining is what of the range is still to be listed.
func (h *hold) remaining() keyspace.Range {
	h.table.mu.Lock()
	defer h.table.mu.Unlock()
	return h.rng
}

// advance tells the table that a page was listed which reaches up to next (empty
// when it reached the end of the range that was asked for), and that these are its
// keys in order. It answers up to which key the page is this hold's to use: less
// than the page when a part was taken away meanwhile. more is false at the end of
// the range, which then is no longer held.
func (h *hold) advance(asked keyspace.Range, next string, n int, key func(i int) []byte) (upTo string, more bool) {
	t := h.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if next == "" {
		next = asked.End
	}
	upTo = keyspace.MinEnd(next, h.rng.End)
	h.learn(asked, next, n, key)
	h.keys += float64(n)
	if n > 0 {
		h.keysOfNewest = float64(n)
	}
	h.pages++
	h.rested = true
	more = upTo != h.rng.End
	h.rng.Start = upTo
	if !more {
		// Nothing of it is left to share.
		delete(t.held, h)
		t.done++
	}
	t.barren = false
	t.changed.Broadcast()
	if t.idle > 0 {
		t.work.Broadcast()
	}
	return upTo, more
}

// learn shows the alphabet some of the page's keys, and the gaps that tell most.
func (h *hold) learn(asked keyspace.Range, next string, n int, key func(i int) []byte) {
	a := h.table.alphabet
	start, cut := asked.Start, keyspace.TrimAfter(asked.Start)
	if n == 0 {
		a.observeGap(cut, asked.End, true)
		return
	}
	first := string(key(0))
	h.newest = first
	if h.first == "" {
		h.first = first
		if start != "" {
			a.observeGap(cut, first, true)
		}
	}
	step := max(n/8, 1)
	for i := 0; i < n; i += step {
		k := string(key(i))
		a.observe(k)
		if i > 0 {
			a.observeGap(string(key(i-1)), k, false)
		}
	}
	last := string(key(n - 1))
	h.near = keyspace.CommonPrefix(first, last)
	a.observe(last)
	if next == asked.End {
		a.observeEnd(last, asked.End)
	}
}

// outlook is what the table expects of the rest.
type outlook struct {
	left        float64 // keys
	most        float64 // keys, where a range of which nothing is known has a great many
	done, total int     // ranges
}

// outlook reckons what is left. A range of which nothing is known counts as the mean
// of those that something is known of, a page at the least.
func (t *table) outlook() outlook {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := outlook{done: t.done, total: t.done + len(t.waiting) + len(t.held)}
	known, unknown := 0, 0
	count := func(h *hold) {
		left := h.left()
		o.most += left
		if left < reckonable {
			o.left += left
			known++
		} else {
			unknown++
		}
	}
	for _, h := range t.waiting {
		count(h)
	}
	for h := range t.held {
		count(h)
	}
	mean := t.pageSize
	if known > 0 {
		mean = max(mean, o.left/float64(known))
	}
	o.left += mean * float64(unknown)
	return o
}
