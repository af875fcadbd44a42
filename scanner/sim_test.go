package scanner

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"firescan/bench/bucketserver"
	"firescan/keyspace"
	"firescan/provider"
	"firescan/scanner/split"
)

// simulate lists keys with the streams of one node without peers.
func simulate(t testing.TB, keys []string, plan []split.PlannedRange, streams int) simResult {
	t.Helper()
	c := newSimCluster(t, sortedKeys(keys), 1, streams)
	return c.scan(plan)
}

// A keyBucket lists sorted keys with a delimiter, like a provider.
type keyBucket struct {
	provider.Bucket
	keys   keySpace
	levels *sync.Map // the levels that were listed
}

func (b keyBucket) List(_ context.Context, req provider.ListRequest, page *provider.Page) error {
	b.levels.Store(strings.Count(req.Prefix, "/"), true)
	page.Reset()
	at := b.keys.rank(max(req.Prefix, req.Start))
	for n := 0; at < b.keys.size(); n++ {
		key := b.keys.key(at)
		name, under := bytes.CutPrefix(key, []byte(req.Prefix))
		if !under {
			return nil
		}
		if n == 1000 {
			page.More = true
			return nil
		}
		slash := bytes.IndexByte(name, '/')
		if slash < 0 {
			page.Objects = append(page.Objects, provider.Object{Key: key})
			at++
			continue
		}
		folder := string(key[:len(req.Prefix)+slash+1])
		page.Prefixes = append(page.Prefixes, folder)
		at = b.keys.rank(keyspace.PrefixEnd(folder))
	}
	return nil
}

// keyGen generates keys as in buckets, including unusual characters.
func keyGen() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`(ab|a|b)/[0-9a-f]{2,6}\.(meta|auth)`),
		rapid.StringOfN(rapid.RuneFrom([]rune("az09/-%é日\x01 ")), 1, 8, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 5), func(b []byte) string { return string(b) }),
	)
}

// layouts are kinds of key spaces, each difficult in its own way.
var layouts = []struct {
	name string
	keys func(rnd *rand.Rand) string
	// most is the most page latencies of a first scan of a million keys with 64 streams;
	// the ideal is 15.6.
	most float64
}{
	{"flat", nil, 26},
	{"tree", nil, 31},
	{"skewed", nil, 33},
	{"uuid", func(r *rand.Rand) string {
		return fmt.Sprintf("b/%08x-%04x-4%03x-%04x-%012x.backup", r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xfff, r.Uint32()&0xffff, r.Uint64()>>16)
	}, 26},
	{"base62", func(r *rand.Rand) string { return text(r, base62, 12) }, 32},
	{"decimal", func(r *rand.Rand) string { return fmt.Sprintf("seq/%012d.meta", r.IntN(40_000_000)) }, 28},
	{"clustered in time", func(r *rand.Rand) string {
		day := int(r.ExpFloat64() * 60)
		return fmt.Sprintf("daily/%04d-%02d-%02d/%06x.backup", 2026-day/365, 12-day%365/31, 31-day%31, r.IntN(1<<24))
	}, 40},
	{"one deep folder", func(r *rand.Rand) string { return "a/b/c/d/e/f/" + text(r, "0123456789abcdef", 8) }, 32},
	{"japanese", func(r *rand.Rand) string {
		return "日報/" + text(r, "あいうえおかきくけこさしすせそ東京大阪", 6) + ".backup"
	}, 40},
	{"mixed case words", func(r *rand.Rand) string {
		return text(r, "AEIOUaeiou", 2) + "-" + text(r, "bcdfghjklmnp", 5) + " (" + text(r, "0123456789", 3) + ").backup"
	}, 40},
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func text(r *rand.Rand, chars string, n int) string {
	runes := []rune(chars)
	var b strings.Builder
	for range n {
		b.WriteRune(runes[r.IntN(len(runes))])
	}
	return b.String()
}

// layoutKeys returns about n keys of a layout in order. Those without a generator are the
// layouts of the benchmarks.
func layoutKeys(t testing.TB, name string, next func(*rand.Rand) string, n int) []string {
	t.Helper()
	keys := make([]string, 0, n)
	if next == nil {
		computed, err := bucketserver.NewKeys(bucketserver.Layout(name), uint64(n))
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(n) {
			keys = append(keys, string(computed.AppendKey(nil, i)))
		}
		return keys
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range n {
		keys = append(keys, next(rnd))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// TestSimulatedScans lists key spaces of every kind, first with nothing known, then with
// the ranges of the last generation, each within a bound in page latencies of simulated
// time. Each key must be listed exactly once.
func TestSimulatedScans(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			keys := layoutKeys(t, l.name, l.keys, n)
			bucket := keyBucket{keys: sortedKeys(keys), levels: &sync.Map{}}
			plan := split.FirstPlan(t.Context(), bucket, "", keyspace.Range{}, []keyspace.Range{{}}, 64)
			probes := 0
			bucket.levels.Range(func(any, any) bool { probes++; return true })
			first := simulate(t, keys, plan, 64)
			first.makespan += float64(probes)
			ideal := float64(len(keys)) / 1000 / 64
			t.Logf("first scan: %d keys in %.1f page latencies (ideal %.1f), %d lists of which %d empty, %d ranges", len(keys), first.makespan, ideal, first.pages+probes, first.empty, first.ranges)
			if n == 1_000_000 && first.makespan > l.most {
				t.Errorf("the first scan took %.1f page latencies, want at most %.0f", first.makespan, l.most)
			}
			var last [][]byte
			ranges := split.Parts(uint64(len(keys)), 64)
			for i := 1; i < ranges; i++ {
				last = append(last, []byte(keys[i*len(keys)/ranges]))
			}
			second := simulate(t, keys, split.PlanByKeys([]keyspace.Range{{}}, last, float64(len(keys)/ranges)), 64)
			t.Logf("second scan: %.1f page latencies, %d lists", second.makespan, second.pages)
			if n == 1_000_000 && second.makespan > 18.5 {
				t.Errorf("the second scan took %.1f page latencies, want at most 18.5", second.makespan)
			}
		})
	}
}

// TestSimulatedSmallScans lists arbitrary keys, each exactly once.
func TestSimulatedSmallScans(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOfDistinct(keyGen(), rapid.ID[string]).Draw(rt, "keys")
		slices.Sort(keys)
		cuts := rapid.SliceOfDistinct(keyGen(), rapid.ID[string]).Draw(rt, "cuts")
		slices.Sort(cuts)
		simulate(t, keys, split.UnknownSize(keyspace.Range{}.Split(cuts...)...), rapid.IntRange(1, 5).Draw(rt, "streams"))
	})
}
