package keyspace_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firescan/keyspace"
)

// keys returns short keys over few characters, so that they collide and share prefixes.
func keys() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\x01ab./-\xc3\xa9\xfe\xff")), 0, 6),
		func(b []byte) string { return string(b) })
}

func ranges() *rapid.Generator[keyspace.Range] {
	return rapid.Custom(func(t *rapid.T) keyspace.Range {
		return keyspace.Range{Start: keys().Draw(t, "start"), End: keys().Draw(t, "end")}
	})
}

func nonEmpty(r keyspace.Range) bool { return !r.IsEmpty() }

func anyContains(rs []keyspace.Range, key string) bool {
	return slices.ContainsFunc(rs, func(r keyspace.Range) bool { return r.Contains(key) })
}

func TestSplitTiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ranges().Filter(nonEmpty).Draw(t, "range")
		at := rapid.SliceOfDistinct(keys(), rapid.ID[string]).Draw(t, "at")
		slices.Sort(at)
		parts := r.Split(at...)
		if parts[0].Start != r.Start || parts[len(parts)-1].End != r.End {
			t.Fatalf("%v split at %q is %v: it does not reach the ends", r, at, parts)
		}
		for i, p := range parts {
			if p.IsEmpty() {
				t.Fatalf("%v split at %q has the empty part %v", r, at, p)
			}
			if i > 0 && parts[i-1].End != p.Start {
				t.Fatalf("%v split at %q is %v: a gap or an overlap", r, at, parts)
			}
		}
		key := keys().Draw(t, "key")
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
		space := ranges().Filter(nonEmpty).Draw(t, "space")
		at := rapid.SliceOfDistinct(keys(), rapid.ID[string]).Draw(t, "at")
		slices.Sort(at)
		var done []keyspace.Range
		for _, p := range space.Split(at...) {
			if rapid.Bool().Draw(t, "done") {
				done = append(done, p)
			}
		}
		left := space.Remaining(done)
		key := keys().Draw(t, "key")
		if want := space.Contains(key) && !anyContains(done, key); anyContains(left, key) != want {
			t.Fatalf("key %q of %v with %v done: remaining %v", key, space, done, left)
		}
		for i, r := range left {
			if r.IsEmpty() || i > 0 && left[i-1].End >= r.Start {
				t.Fatalf("remaining %v: empty, out of order or touching parts", left)
			}
		}
	})
}

func TestIntersect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, key := ranges().Draw(t, "a"), ranges().Draw(t, "b"), keys().Draw(t, "key")
		if got, want := a.Intersect(b).Contains(key), a.Contains(key) && b.Contains(key); got != want {
			t.Fatalf("%q in %v ∩ %v: %v, want %v", key, a, b, got, want)
		}
	})
}

// TestRangeSets compares each operation with its meaning, key by key.
func TestRangeSets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		some := rapid.SliceOfN(ranges(), 0, 5)
		a, b := some.Draw(rt, "a"), some.Draw(rt, "b")
		inA, inB := slices.Clone(a), slices.Clone(b)
		s, o := keyspace.NewRangeSet(a), keyspace.NewRangeSet(b)
		union, rest := s.Union(o...), s.Subtract(o)
		for _, set := range []keyspace.RangeSet{s, o, union, rest} {
			for i, r := range set {
				if r.IsEmpty() || i > 0 && (set[i-1].End == "" || set[i-1].End > r.Start) {
					rt.Fatalf("%v is no set", set)
				}
			}
		}
		for i := 1; i < len(union); i++ {
			if union[i-1].End == union[i].Start {
				rt.Fatalf("%v has ranges that touch", union)
			}
		}
		probes := rapid.SliceOf(keys()).Draw(rt, "keys")
		for _, r := range append(slices.Clone(inA), inB...) {
			probes = append(probes, r.Start, keyspace.After(r.Start), r.End, keyspace.After(r.End))
		}
		for _, k := range probes {
			isA, isB := anyContains(inA, k), anyContains(inB, k)
			if s.Contains(k) != isA || union.Contains(k) != (isA || isB) || rest.Contains(k) != (isA && !isB) {
				rt.Fatalf("key %q: a %v, b %v, union %v, difference %v", k, s, o, union, rest)
			}
		}
		for _, r := range o {
			if !union.Covers(r) || len(rest) > 0 && rest.Covers(r) {
				rt.Fatalf("%v covers, or does not cover, %v", union, r)
			}
		}
	})
}

func TestAfterIsTheNextKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, other := keys().Draw(t, "key"), keys().Draw(t, "other")
		after := keyspace.After(key)
		if (other > key) != (other >= after) {
			t.Fatalf("%q lies between %q and %q", other, key, after)
		}
		if string(keyspace.AfterBytes([]byte(key))) != after || keyspace.TrimAfter(after) != key {
			t.Fatalf("the forms of After(%q) differ", key)
		}
	})
}

func TestPrefixEnd(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "a": "b", "a/": "a0", "a\xff": "b", "a\xff\xff": "b", "\xff": "", "\xff\xff": "",
		"é": "\xc3\xaa", "a\xfe": "a\xff", "a\xfe\xff": "a\xff",
	} {
		if got := keyspace.PrefixEnd(prefix); got != want {
			t.Errorf("PrefixEnd(%q) = %q, want %q", prefix, got, want)
		}
	}
	if end := keyspace.PrefixEnd([]byte("\xff")); end != nil {
		t.Errorf("PrefixEnd of bytes without an end is %q, want nil", end)
	}
	given := []byte("a/")
	if keyspace.PrefixEnd(given); string(given) != "a/" {
		t.Errorf("PrefixEnd changed its argument to %q", given)
	}
}

func TestPrefixHoldsExactlyTheKeysWithThePrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix, key := keys().Draw(t, "prefix"), keys().Draw(t, "key")
		r := keyspace.Prefix(prefix)
		if r.Contains(key) != strings.HasPrefix(key, prefix) {
			t.Fatalf("key %q, prefix %q, range %v: contained is %v", key, prefix, r, r.Contains(key))
		}
		if string(keyspace.PrefixEnd([]byte(prefix))) != r.End {
			t.Fatalf("the forms of PrefixEnd(%q) differ", prefix)
		}
	})
}

func TestCommonPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shared := rapid.StringN(0, 20, -1).Draw(t, "shared")
		a, b := shared+keys().Draw(t, "a"), shared+keys().Draw(t, "b")
		want := 0
		for want < min(len(a), len(b)) && a[want] == b[want] {
			want++
		}
		if got := keyspace.CommonPrefix(a, b); got != want || keyspace.CommonPrefix([]byte(a), []byte(b)) != want {
			t.Fatalf("%q and %q share %d bytes, want %d", a, b, got, want)
		}
	})
}

func TestStem(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "a": "a", "a.backup": "a", "a.backup.gz": "a", "p.q/a": "p.q/a", "p.q/a.b": "p.q/a",
		"p/.hidden": "p/", "p/": "p/", "p/a\x00b.c": "p/a\x00b", "é/ü.backup.x.enc": "é/ü",
	} {
		if got := keyspace.Stem([]byte(key)); string(got) != want {
			t.Errorf("the stem of %q is %q, want %q", key, got, want)
		}
	}
}

func TestKnownSuffixes(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "a": "a", "a.backup": "a", "a.backup.gz": "a", "a.backup.zst.enc": "a", "a.meta.json": "a", "a.backup.meta.json": "a",
		"app.example.com-2024.backup": "app.example.com-2024", "app.example.com-2024.auth.json.gz": "app.example.com-2024",
		"p.q/a.tar.gz": "p.q/a.tar", "a.json": "a.json", "a.backup.001": "a.backup.001", "p/.backup": "p/", "p/backup": "p/backup", "a.BACKUP": "a.BACKUP",
	} {
		if got := keyspace.KnownSuffix.Stem([]byte(key)); string(got) != want {
			t.Errorf("the stem of %q by known suffixes is %q, want %q", key, got, want)
		}
	}
}

// TestKnownSuffixLinksLess: what one rule cuts, the other cuts too, so that files with one stem
// by known suffixes have one by the first dot.
func TestKnownSuffixLinksLess(t *testing.T) {
	key := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", ".", ".backup", ".meta", ".json", ".gz", ".enc", "-x"}), 0, 6),
		func(parts []string) []byte { return []byte(strings.Join(parts, "")) })
	rapid.Check(t, func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		if !bytes.HasPrefix(keyspace.KnownSuffix.Stem(a), keyspace.FirstDot.Stem(a)) {
			t.Fatalf("the stem of %q by known suffixes is shorter than by the first dot", a)
		}
		if string(keyspace.KnownSuffix.Stem(a)) == string(keyspace.KnownSuffix.Stem(b)) && string(keyspace.Stem(a)) != string(keyspace.Stem(b)) {
			t.Fatalf("%q and %q share a stem by known suffixes only", a, b)
		}
	})
}

func TestParseStemRule(t *testing.T) {
	for _, r := range []keyspace.StemRule{keyspace.FirstDot, keyspace.KnownSuffix} {
		if got, err := keyspace.ParseStemRule(strings.ToUpper(r.String())); err != nil || got != r {
			t.Errorf("%v, %v", got, err)
		}
	}
	if _, err := keyspace.ParseStemRule("dot"); err == nil {
		t.Error("an unknown rule is accepted")
	}
}
