package scanner

import (
	"fmt"
	"strings"
)

// Range is the half-open interval [Start, End) of object keys in bytewise order.
// An empty Start is from the first key on, an empty End is without a bound.
type Range struct{ Start, End string }

// Empty tells whether no key can lie in the range.
func (r Range) Empty() bool { return r.End != "" && r.Start >= r.End }

// Contains tells whether key lies in the range.
func (r Range) Contains(key string) bool {
	return key >= r.Start && (r.End == "" || key < r.End)
}

// Splittable tells whether at lies strictly inside, so that a cut there leaves
// two ranges that are not empty.
func (r Range) Splittable(at string) bool {
	return at > r.Start && (r.End == "" || at < r.End)
}

// String shows the range as [start, end) with quoted keys.
func (r Range) String() string {
	if r.End == "" {
		return fmt.Sprintf("[%q, ∞)", r.Start)
	}
	return fmt.Sprintf("[%q, %q)", r.Start, r.End)
}

// Remaining answers the parts of space that done does not cover, in order. The
// ranges of done are in order and do not overlap; what lies outside of space
// counts for nothing.
func Remaining(space Range, done []Range) []Range {
	var left []Range
	at := space.Start
	for _, d := range done {
		if d.Start > at {
			gap := Range{at, minEnd(d.Start, space.End)}
			if !gap.Empty() {
				left = append(left, gap)
			}
		}
		if d.End == "" {
			return left
		}
		at = max(at, d.End)
	}
	if rest := (Range{at, space.End}); !rest.Empty() {
		left = append(left, rest)
	}
	return left
}

// Cut splits r at the given keys, which are in ascending order; those that do not
// lie inside are passed over. The parts tile r.
func (r Range) Cut(at ...string) []Range {
	parts := make([]Range, 0, len(at)+1)
	for _, key := range at {
		if r.Splittable(key) {
			parts = append(parts, Range{r.Start, key})
			r.Start = key
		}
	}
	return append(parts, r)
}

// minEnd is the lesser of two range ends, where the empty one is no bound.
func minEnd(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return min(a, b)
}

// after is the least key greater than key.
func after(key string) string { return key + "\x00" }

// commonPrefix is the length in bytes of what a and b share at their beginning.
func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// trimAfter takes the zero byte off a boundary that after made.
func trimAfter(boundary string) string { return strings.TrimSuffix(boundary, "\x00") }
