package split

import (
	"slices"

	"firescan/keyspace"
)

// unknownKeys is the size of a range of which nothing is known: larger than any other.
const unknownKeys = 1e12

// minStreamsForScales is the number of idle streams from which a range with unknown
// surroundings is cut at every scale.
const minStreamsForScales = 8

// A Claim is a range that one stream lists, or that waits for a stream.
type Claim struct {
	queue *RangeQueue // its mutex guards all of this
	// rest is the range still to list: Start moves on with every page, End comes nearer
	// when a part is stolen.
	rest keyspace.Range
	// first is the first key that was listed, newest the first key of the newest page. The
	// number of keys since each of them gives the density of the range: overall and here.
	first, newest    string
	keys, newestKeys float64
	pages            int
	// expected is the number of keys to expect before the first page; negative is unknown.
	expected float64
	// common is the number of bytes that all keys of the newest page share: a cut after
	// the character that follows would fall within one page.
	common int
	// listedSinceCut is set when a page was listed since a part was last stolen.
	listedSinceCut bool
}

// Remaining returns the range still to list.
func (c *Claim) Remaining() keyspace.Range {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	return c.rest
}

// Advance records a page with n keys in order that reaches up to next, which is empty at
// the end of the asked range. It returns the key up to which the page belongs to this
// claim: less than the page when a part was stolen meanwhile. At the end of the range
// more is false and the claim ends.
func (c *Claim) Advance(asked keyspace.Range, next string, n int, key func(i int) []byte) (upTo string, more bool) {
	q := c.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if next == "" {
		next = asked.End
	}
	upTo = keyspace.MinEnd(next, c.rest.End)
	c.learn(asked, next, n, key)
	c.keys += float64(n)
	if n > 0 {
		c.newestKeys = float64(n)
	}
	c.pages++
	c.listedSinceCut = true
	more = upTo != c.rest.End
	c.rest.Start = upTo
	if !more {
		delete(q.claimed, c)
		q.done++
	}
	q.isExhausted = false
	q.changed.Broadcast()
	if q.idle > 0 {
		q.work.Broadcast()
	}
	return upTo, more
}

// learn shows the model some of the page's keys, and the most significant gaps.
func (c *Claim) learn(asked keyspace.Range, next string, n int, key func(i int) []byte) {
	m := c.queue.model
	start, cut := asked.Start, keyspace.TrimAfter(asked.Start)
	if n == 0 {
		m.observeGap(cut, asked.End, true)
		return
	}
	first := string(key(0))
	c.newest = first
	if c.first == "" {
		c.first = first
		if start != "" {
			m.observeGap(cut, first, true)
		}
	}
	step := max(n/8, 1)
	for i := 0; i < n; i += step {
		k := string(key(i))
		m.observe(k)
		if i > 0 {
			m.observeGap(string(key(i-1)), k, false)
		}
	}
	last := string(key(n - 1))
	c.common = keyspace.CommonPrefix(first, last)
	m.observe(last)
	if next == asked.End {
		m.observeEnd(last, asked.End)
	}
}

// keysLeft estimates the number of keys still to list.
func (c *Claim) keysLeft() float64 {
	if c.pages == 0 || c.first == "" {
		if c.expected < 0 {
			return unknownKeys
		}
		return c.expected
	}
	m := c.queue.model
	at := keyspace.TrimAfter(c.rest.Start)
	rest := m.distance(at, c.rest.End)
	left := -1.0
	// Gaps between clusters make a range look thin overall, so the denser estimate counts.
	// To cut a small range costs a list or two, to leave a large one whole costs the scan.
	for _, since := range []struct {
		key  string
		keys float64
	}{{c.first, c.keys}, {c.newest, c.newestKeys}} {
		if done := m.distance(since.key, at); done > 0 {
			left = max(left, since.keys*rest/done)
		}
	}
	if left < 0 {
		return max(c.expected, 0)
	}
	return min(left, unknownKeys)
}

// cuts returns where to cut the range: at one key halfway, or at several at all scales
// when the deciding characters are not known well. n is the number of useful cuts.
func (c *Claim) cuts(n int) []string {
	m, lo := c.queue.model, keyspace.TrimAfter(c.rest.Start)
	if n < minStreamsForScales || m.isKnown(lo, c.rest.End) {
		if key := m.between(lo, c.rest.End, 0.5); key != "" {
			return []string{keyspace.After(key)}
		}
	}
	keys := m.cutAtScales(lo, c.rest.End, c.common, max(n, 1))
	for i, k := range keys {
		keys[i] = keyspace.After(k)
	}
	return keys
}

// evenCuts returns n keys that cut the range into equal parts, or fewer, when the
// deciding characters are known.
func (c *Claim) evenCuts(n int) []string {
	m, lo := c.queue.model, keyspace.TrimAfter(c.rest.Start)
	if n == 1 || !m.isKnown(lo, c.rest.End) {
		return c.cuts(n)
	}
	var keys []string
	for i := range n {
		if key := m.between(lo, c.rest.End, float64(i+1)/float64(n+1)); key != "" {
			keys = append(keys, keyspace.After(key))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// cut cuts the range at the given keys, keeps the first part and returns the others. left
// is the estimate of its keys.
func (c *Claim) cut(left float64, keys []string) []PlannedRange {
	left /= float64(len(keys) + 1)
	if left >= unknownKeys/1e6 {
		left = 0
	}
	ranges := c.rest.Split(keys...)
	c.rest = ranges[0]
	if c.expected = left; left == 0 {
		c.expected = -1
	}
	c.listedSinceCut = c.pages > 0 && c.keysLeft() < unknownKeys
	parts := make([]PlannedRange, 0, len(ranges)-1)
	for _, r := range ranges[1:] {
		parts = append(parts, PlannedRange{r, left})
	}
	return parts
}
