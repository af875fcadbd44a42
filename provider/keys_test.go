package provider_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firescan/provider"
)

func TestPrefixEnd(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "a": "b", "a/": "a0", "a\xff": "b", "a\xff\xff": "b", "\xff": "", "\xff\xff": "", "é": "\xc3\xaa", "a\xfe": "a\xff", "a\xfe\xff": "a\xff",
	} {
		if got := provider.PrefixEnd(prefix); got != want {
			t.Errorf("PrefixEnd(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func TestPrefixEndIsTheLeastBound(t *testing.T) {
	bytes := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\x01a0/\xc3\xfe\xff")), 0, 4), func(b []byte) string { return string(b) })
	rapid.Check(t, func(t *rapid.T) {
		prefix, key := bytes.Draw(t, "prefix"), bytes.Draw(t, "key")
		end := provider.PrefixEnd(prefix)
		inside := key >= prefix && (end == "" || key < end)
		if inside != strings.HasPrefix(key, prefix) {
			t.Fatalf("key %q, prefix %q, end %q: inside is %v", key, prefix, end, inside)
		}
	})
}

func TestAfterIsTheNextKey(t *testing.T) {
	bytes := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\x01a0/\xc3\xfe\xff")), 0, 4), func(b []byte) string { return string(b) })
	rapid.Check(t, func(t *rapid.T) {
		key, other := bytes.Draw(t, "key"), bytes.Draw(t, "other")
		if after := provider.After(key); (other > key) != (other >= after) {
			t.Fatalf("%q lies between %q and %q", other, key, after)
		}
	})
}

func TestPageKeepsItsObjects(t *testing.T) {
	var page provider.Page
	for round := range 3 {
		page.Reset()
		var want []string
		for i := range 500 {
			key := strings.Repeat("k", i%40) + string(rune('a'+round))
			want = append(want, key)
			page.Add([]byte(key), []byte("tag"), int64(i), 1)
		}
		for i, o := range page.Objects {
			if string(o.Key) != want[i] || string(o.Tag) != "tag" || o.Size != int64(i) {
				t.Fatalf("round %d, object %d is %q, tag %q, %d bytes", round, i, o.Key, o.Tag, o.Size)
			}
		}
	}
	allocs := testing.AllocsPerRun(10, func() {
		page.Reset()
		for range 500 {
			page.Add([]byte("a key of some length"), []byte("tag"), 1, 1)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations in a page that is used again", allocs)
	}
}
