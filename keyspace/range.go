package keyspace

import (
	"fmt"
)

// A Range is the half-open interval [Start, End) of keys. An empty Start is the first key;
// an empty End is unbounded. The zero Range is the whole key space.
type Range struct{ Start, End string }

// NewRange returns the range [start, end).
func NewRange[K Key](start, end K) Range { return Range{string(start), string(end)} }

// Prefix returns the range of all keys that begin with prefix.
func Prefix(prefix string) Range { return Range{prefix, PrefixEnd(prefix)} }

// IsEmpty reports whether no key lies in the range.
func (r Range) IsEmpty() bool { return !BeforeEnd(r.Start, r.End) }

// Contains reports whether key lies in the range.
func (r Range) Contains(key string) bool { return key >= r.Start && BeforeEnd(key, r.End) }

// CanSplit reports whether at lies strictly inside, so that a cut there leaves two ranges
// that are not empty.
func (r Range) CanSplit(at string) bool { return at > r.Start && BeforeEnd(at, r.End) }

// Intersect returns the keys that lie in both ranges; the result may be empty.
func (r Range) Intersect(other Range) Range {
	return Range{max(r.Start, other.Start), MinEnd(r.End, other.End)}
}

// Split cuts r at the given keys, which are in ascending order; keys that do not lie
// strictly inside are ignored. The parts tile r.
func (r Range) Split(at ...string) []Range {
	parts := make([]Range, 0, len(at)+1)
	for _, key := range at {
		if r.CanSplit(key) {
			parts = append(parts, Range{r.Start, key})
			r.Start = key
		}
	}
	return append(parts, r)
}

// Remaining returns the parts of r that done does not cover, in order. The ranges of done
// are in order and do not overlap; what lies outside of r is ignored.
func (r Range) Remaining(done []Range) []Range {
	var left []Range
	at := r.Start
	for _, d := range done {
		if d.Start > at {
			if gap := (Range{at, MinEnd(d.Start, r.End)}); !gap.IsEmpty() {
				left = append(left, gap)
			}
		}
		if d.End == "" {
			return left
		}
		at = max(at, d.End)
	}
	if rest := (Range{at, r.End}); !rest.IsEmpty() {
		left = append(left, rest)
	}
	return left
}

// String formats the range as [start, end) with quoted keys.
func (r Range) String() string {
	if r.End == "" {
		return fmt.Sprintf("[%q, ∞)", r.Start)
	}
	return fmt.Sprintf("[%q, %q)", r.Start, r.End)
}

// BeforeEnd reports whether key lies before a range end, of which the empty one is
// unbounded.
func BeforeEnd[K Key](key, end K) bool {
	return len(end) == 0 || string(key) < string(end)
}

// MinEnd returns the lesser of two range ends.
func MinEnd(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return min(a, b)
}

// MaxEnd returns the greater of two range ends.
func MaxEnd(a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	return max(a, b)
}
