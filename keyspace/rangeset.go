package keyspace

import (
	"slices"
	"sort"
	"strings"
)

// A RangeSet is a set of keys: ranges in order that neither overlap nor touch.
type RangeSet []Range

// NewRangeSet returns the set of all keys in the given ranges, which may overlap and come
// in any order. It takes ownership of its argument.
func NewRangeSet(rs []Range) RangeSet {
	rs = slices.DeleteFunc(rs, Range.IsEmpty)
	slices.SortFunc(rs, func(a, b Range) int { return strings.Compare(a.Start, b.Start) })
	merged := rs[:0]
	for _, r := range rs {
		if n := len(merged); n > 0 && (merged[n-1].End == "" || r.Start <= merged[n-1].End) {
			merged[n-1].End = MaxEnd(merged[n-1].End, r.End)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// Union returns the set of the keys of s and of more.
func (s RangeSet) Union(more ...Range) RangeSet {
	return NewRangeSet(slices.Concat(s, more))
}

// Subtract returns the set of the keys of s that are not in other.
func (s RangeSet) Subtract(other RangeSet) RangeSet {
	var left RangeSet
	for _, r := range s {
		left = append(left, r.Remaining(other.From(r.Start))...)
	}
	return left
}

// From returns the ranges of s that have keys at or after start, uncut.
func (s RangeSet) From(start string) RangeSet {
	return s[sort.Search(len(s), func(i int) bool { return BeforeEnd(start, s[i].End) }):]
}

// Covers reports whether all keys of r are in s.
func (s RangeSet) Covers(r Range) bool { return len(RangeSet{r}.Subtract(s)) == 0 }

// Contains reports whether key is in s.
func (s RangeSet) Contains(key string) bool {
	from := s.From(key)
	return len(from) > 0 && from[0].Contains(key)
}
