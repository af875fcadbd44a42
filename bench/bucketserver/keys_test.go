package bucketserver

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

func mustKeys(t rapid.TB, layout Layout, n uint64) *Keys {
	t.Helper()
	k, err := NewKeys(layout, n)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// all lists the keys with the cursor.
func all(k *Keys) [][]byte {
	var keys [][]byte
	c := cursor{keys: k}
	for c.seek(0); c.valid(); c.next() {
		keys = append(keys, bytes.Clone(c.key))
	}
	return keys
}

func TestKeysAreStrictlyAscending(t *testing.T) {
	for _, layout := range Layouts {
		for _, n := range []uint64{0, 1, 2, 3, 42, 43, 44, 1000, 20_011, 60_000} {
			t.Run(fmt.Sprintf("%s/%d", layout, n), func(t *testing.T) {
				keys := all(mustKeys(t, layout, n))
				if uint64(len(keys)) != n {
					t.Fatalf("%d keys, want %d", len(keys), n)
				}
				for i := 1; i < len(keys); i++ {
					if bytes.Compare(keys[i-1], keys[i]) >= 0 {
						t.Fatalf("key %d %q is not less than key %d %q", i-1, keys[i-1], i, keys[i])
					}
				}
			})
		}
	}
}

// In a very large bucket, any 200 consecutive keys are sorted, the cursor agrees with
// AppendKey, and Rank inverts it.
func TestLargeKeySpaces(t *testing.T) {
	for _, layout := range Layouts {
		t.Run(string(layout), func(t *testing.T) {
			k := mustKeys(t, layout, 1_000_000_000)
			rapid.Check(t, func(t *rapid.T) {
				i := rapid.Uint64Range(0, k.Len()-200).Draw(t, "rank")
				c := cursor{keys: k}
				c.seek(i)
				var last []byte
				for j := i; j < i+200; j++ {
					key := k.AppendKey(nil, j)
					if !bytes.Equal(key, c.key) {
						t.Fatalf("rank %d: AppendKey %q, cursor %q", j, key, c.key)
					}
					if bytes.Compare(last, key) >= 0 {
						t.Fatalf("rank %d: %q after %q", j, key, last)
					}
					last = key
					c.next()
				}
				if got := k.Rank(last); got != i+199 {
					t.Fatalf("Rank(%q) = %d, want %d", last, got, i+199)
				}
				if got := k.Rank(append(last, 0)); got != i+200 {
					t.Fatalf("Rank after %q = %d, want %d", last, got, i+200)
				}
			})
		})
	}
}

// nearKey draws existing keys, prefixes and neighbors of them, and arbitrary bytes.
func nearKey(keys [][]byte) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		if len(keys) == 0 || rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			return rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes")
		}
		key := bytes.Clone(rapid.SampledFrom(keys).Draw(t, "key"))
		key = key[:rapid.IntRange(0, len(key)).Draw(t, "cut")]
		return append(key, rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "tail")...)
	})
}

func TestRankIsTheLowerBound(t *testing.T) {
	for _, layout := range Layouts {
		t.Run(string(layout), func(t *testing.T) {
			k := mustKeys(t, layout, 3_000)
			keys := all(k)
			rapid.Check(t, func(t *rapid.T) {
				key := nearKey(keys).Draw(t, "key")
				want, found := slices.BinarySearchFunc(keys, key, bytes.Compare)
				if got := k.Rank(key); got != uint64(want) {
					t.Fatalf("Rank(%q) = %d, want %d", key, got, want)
				}
				if got := k.Has(key); got != found {
					t.Fatalf("Has(%q) = %v", key, got)
				}
			})
		})
	}
}

func TestIDFormatsKeepOrder(t *testing.T) {
	for name, a := range map[string]*idFormat{"hex": hex16, "base62": base62, "decimal": decimal13, "stamps": stamps} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				x := rapid.Uint64Range(0, a.size-1).Draw(t, "x")
				y := rapid.OneOf(rapid.Uint64Range(0, a.size-1), rapid.Just(min(x+1, a.size-1))).Draw(t, "y")
				px, py := a.put(nil, x), a.put(nil, y)
				if got, want := bytes.Compare(px, py), compare(x, y); got != want {
					t.Fatalf("%d is formatted as %q, %d as %q", x, px, y, py)
				}
			})
		})
	}
}

func compare(x, y uint64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// A stem has one to three files, one of which is the backup.
func TestStemsHoldOneToThreeFiles(t *testing.T) {
	for _, n := range []uint64{1, 2, 43, 44, 50, 5000} {
		k := mustKeys(t, Flat, n)
		files := map[string][]string{}
		for _, key := range all(k) {
			stem, extension, _ := bytes.Cut(key, []byte("."))
			files[string(stem)] = append(files[string(stem)], string(extension))
		}
		for stem, extensions := range files {
			if len(extensions) > 3 || !slices.Contains(extensions, "backup") {
				t.Errorf("%d keys: stem %s has files %v", n, stem, extensions)
			}
		}
		if n == 5000 && (len(files) < 1800 || len(files) > 1900) {
			t.Errorf("5000 keys have %d stems", len(files))
		}
	}
}

// Skewed has few large prefixes, tree has directories of very different sizes.
func TestLayoutsAreUneven(t *testing.T) {
	sizes := func(layout Layout, depth int) []int {
		dirs := map[string]int{}
		for _, key := range all(mustKeys(t, layout, 100_000)) {
			parts := bytes.SplitN(key, []byte("/"), depth+1)
			dirs[string(bytes.Join(parts[:len(parts)-1], []byte("/")))]++
		}
		var counts []int
		for _, n := range dirs {
			counts = append(counts, n)
		}
		sort.Sort(sort.Reverse(sort.IntSlice(counts)))
		return counts
	}
	skew := sizes(Skewed, 2)
	if top := skew[0] + skew[1] + skew[2]; top < 40_000 || len(skew) < 30 {
		t.Errorf("skewed: the top three of %d prefixes hold %d of 100000 keys", len(skew), top)
	}
	tree := sizes(Tree, 3)
	if median := tree[len(tree)/2]; len(tree) < 300 || tree[0] < 10*median {
		t.Errorf("tree: %d directories, largest %d, median %d", len(tree), tree[0], median)
	}
}

func TestNewKeysRejectsInvalidArguments(t *testing.T) {
	if _, err := NewKeys("round", 1); err == nil {
		t.Error("an unknown layout is accepted")
	}
	if _, err := NewKeys(Flat, maxKeys+1); err == nil {
		t.Error("more keys than maxKeys are accepted")
	}
}

func BenchmarkCursor(b *testing.B) {
	for _, layout := range Layouts {
		b.Run(string(layout), func(b *testing.B) {
			k := mustKeys(b, layout, 1_000_000)
			c := cursor{keys: k}
			c.seek(0)
			for b.Loop() {
				if c.next(); !c.valid() {
					c.seek(0)
				}
			}
		})
	}
}

func BenchmarkRank(b *testing.B) {
	for _, layout := range Layouts {
		b.Run(string(layout), func(b *testing.B) {
			k := mustKeys(b, layout, 1_000_000)
			key := k.AppendKey(nil, 777_777)
			for b.Loop() {
				k.Rank(key)
			}
		})
	}
}

func BenchmarkPage(b *testing.B) {
	for _, layout := range Layouts {
		b.Run(string(layout), func(b *testing.B) {
			s := New(Options{Keys: mustKeys(b, layout, 1_000_000)})
			l := &list{v2: true, maxKeys: 1000, start: s.opts.Keys.AppendKey(nil, 500_000)}
			p := new(page)
			for b.Loop() {
				p.fill(l, &walker{cur: cursor{keys: s.opts.Keys}, over: &s.over})
				p.renderHead(l, "b", true)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/key")
			b.ReportMetric(float64(len(p.body))/1000, "bytes/key")
		})
	}
}
