package scanner

import (
	"slices"
	"sort"
	"strings"
)

// ranges is a set of keys: ranges in order that neither overlap nor touch.
type ranges []Range

// newRanges is the set of all keys in the given ranges, which may overlap and come in
// any order. It keeps its argument.
func newRanges(rs []Range) ranges {
	rs = slices.DeleteFunc(rs, Range.Empty)
	slices.SortFunc(rs, func(a, b Range) int { return strings.Compare(a.Start, b.Start) })
	merged := rs[:0]
	for _, r := range rs {
		if n := len(merged); n > 0 && (merged[n-1].End == "" || r.Start <= merged[n-1].End) {
			merged[n-1].End = maxEnd(merged[n-1].End, r.End)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// with is the set of the keys of s and of more.
func (s ranges) with(more ...Range) ranges {
	return newRanges(slices.Concat(s, more))
}

// without is the set of the keys of s that are not in other.
func (s ranges) without(other ranges) ranges {
	var left ranges
	for _, r := range s {
		left = append(left, Remaining(r, other.from(r.Start))...)
	}
	return left
}

// from is the part of s that has keys at or behind start, ranges not cut.
func (s ranges) from(start string) ranges {
	return s[sort.Search(len(s), func(i int) bool { return s[i].End == "" || s[i].End > start }):]
}

// covers tells whether all keys of r are in s.
func (s ranges) covers(r Range) bool { return len(ranges{r}.without(s)) == 0 }

// maxEnd is the greater of two range ends, where the empty one is no bound.
func maxEnd(a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	return max(a, b)
}
