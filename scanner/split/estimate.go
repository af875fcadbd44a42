package split

// maxEstimate is the largest number of keys in a range that is reported to people: larger
// estimates come from characters that were only assumed so far.
const maxEstimate = 1e9

// An Estimate is the state of a RangeQueue.
type Estimate struct {
	// KeysLeft is the number of keys left, for people: a range of unknown size counts as the
	// mean of the others, at least one page.
	KeysLeft float64
	// Load is the number of keys left, for sharing: a range of unknown size counts as a
	// very large one.
	Load                    float64
	RangesDone, RangesTotal int
}

// Estimate estimates the work that is left.
func (q *RangeQueue) Estimate() Estimate {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := Estimate{RangesDone: q.done, RangesTotal: q.done + len(q.waiting) + len(q.claimed)}
	known, unknown := 0, 0
	count := func(c *Claim) {
		left := c.keysLeft()
		e.Load += left
		if left < maxEstimate {
			e.KeysLeft += left
			known++
		} else {
			unknown++
		}
	}
	for _, c := range q.waiting {
		count(c)
	}
	for c := range q.claimed {
		count(c)
	}
	mean := q.pageSize
	if known > 0 {
		mean = max(mean, e.KeysLeft/float64(known))
	}
	e.KeysLeft += mean * float64(unknown)
	return e
}
