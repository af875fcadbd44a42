package scanner

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// keyGen makes short keys over few characters, so that they collide and share
// prefixes often.
func keyGen() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.RuneFrom([]rune("ab./-é\x00")), 0, 6, -1)
}

func rangeGen() *rapid.Generator[Range] {
	return rapid.Custom(func(t *rapid.T) Range {
		return Range{keyGen().Draw(t, "start"), keyGen().Draw(t, "end")}
	})
}

func TestRangeCutTiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rangeGen().Filter(func(r Range) bool { return !r.Empty() }).Draw(t, "range")
		at := rapid.SliceOfDistinct(keyGen(), rapid.ID[string]).Draw(t, "at")
		slices.Sort(at)
		parts := r.Cut(at...)
		if parts[0].Start != r.Start || parts[len(parts)-1].End != r.End {
			t.Fatalf("%v cut at %q is %v: it does not reach the ends", r, at, parts)
		}
		for i, p := range parts {
			if p.Empty() {
				t.Fatalf("%v cut at %q has the empty part %v", r, at, p)
			}
			if i > 0 && parts[i-1].End != p.Start {
				t.Fatalf("%v cut at %q is %v: a gap or an overlap", r, at, parts)
			}
		}
		key := keyGen().Draw(t, "key")
		n := 0
		for _, p := range parts {
			if p.Contains(key) {
				n++
			}
		}
		if want := map[bool]int{true: 1, false: 0}[r.Contains(key)]; n != want {
			t.Fatalf("%q lies in %d parts of %v, want %d", key, n, r, want)
		}
	})
}

func TestRemainingIsTheComplement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := rangeGen().Filter(func(r Range) bool { return !r.Empty() }).Draw(t, "space")
		at := rapid.SliceOfDistinct(keyGen(), rapid.ID[string]).Draw(t, "at")
		slices.Sort(at)
		var done []Range
		for _, p := range space.Cut(at...) {
			if rapid.Bool().Draw(t, "done") {
				done = append(done, p)
			}
		}
		left := Remaining(space, done)
		key := keyGen().Draw(t, "key")
		in := func(rs []Range) bool {
			return slices.ContainsFunc(rs, func(r Range) bool { return r.Contains(key) })
		}
		if want := space.Contains(key) && !in(done); in(left) != want {
			t.Fatalf("key %q of %v with %v done: remaining %v", key, space, done, left)
		}
		for i, r := range left {
			if r.Empty() || i > 0 && left[i-1].End >= r.Start {
				t.Fatalf("remaining %v: empty, out of order or touching parts", left)
			}
		}
	})
}

func TestAfterIsTheNextKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := keyGen().Draw(t, "a"), keyGen().Draw(t, "b")
		if (b > a) != (b >= after(a)) {
			t.Fatalf("%q and after(%q): a key lies between", b, a)
		}
	})
}
