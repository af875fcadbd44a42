package scanner

import (
	"testing"

	"pgregory.net/rapid"
)

func holds(rs []Range, key string) bool {
	for _, r := range rs {
		if r.Contains(key) {
			return true
		}
	}
	return false
}

// TestRangeSets compares the sets with what is in them, key by key.
func TestRangeSets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		some := rapid.SliceOfN(rangeGen(), 0, 5)
		a, b := some.Draw(rt, "a"), some.Draw(rt, "b")
		inA, inB := append([]Range(nil), a...), append([]Range(nil), b...)
		s, o := newRanges(a), newRanges(b)
		union, rest := s.with(o...), s.without(o)
		for _, set := range []ranges{s, o, union, rest} {
			for i, r := range set {
				if r.Empty() || i > 0 && (set[i-1].End == "" || set[i-1].End > r.Start) {
					rt.Fatalf("%v is no set", set)
				}
			}
		}
		for i := 1; i < len(union); i++ {
			if union[i-1].End == union[i].Start {
				rt.Fatalf("%v has ranges that touch", union)
			}
		}
		keys := rapid.SliceOf(keyGen()).Draw(rt, "keys")
		for _, r := range append(inA, inB...) {
			keys = append(keys, r.Start, after(r.Start), r.End, after(r.End))
		}
		for _, k := range keys {
			if holds(s, k) != holds(inA, k) || holds(union, k) != (holds(inA, k) || holds(inB, k)) || holds(rest, k) != (holds(inA, k) && !holds(inB, k)) {
				rt.Fatalf("key %q: a %v, b %v, with %v, without %v", k, s, o, union, rest)
			}
		}
		for _, r := range o {
			if !union.covers(r) || len(rest) > 0 && rest.covers(r) {
				rt.Fatalf("%v covers, or does not cover, %v", union, r)
			}
		}
	})
}
