package index

import (
	"fmt"
	"testing"
	"time"

	"firescan/keyspace"
)

const segmentFiles = 250_000

func every(n, step int) (cuts []int) {
	for i := step; i < n; i += step {
		cuts = append(cuts, i)
	}
	return cuts
}

func BenchmarkBuild(b *testing.B) {
	entries := flatEntries(1_000_000)
	s := newStore(b, b.TempDir())
	b.ReportAllocs()
	var bytes, n int64
	for i := 0; b.Loop(); i++ {
		dest := fmt.Sprint("d", i)
		fill(b, s, dest, "g", entries, nil, 1, every(len(entries), segmentFiles)...)
		for _, info := range view(b, s, dest).Segments() {
			bytes += info.FileSize
		}
		n += int64(len(entries))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mentries/s")
	b.ReportMetric(float64(bytes)/float64(n), "bytes/file")
}

func BenchmarkDecode(b *testing.B) {
	s := newStore(b, b.TempDir())
	entries := flatEntries(1_000_000)
	fill(b, s, "d", "g", entries, nil, 1, every(len(entries), segmentFiles)...)
	v := view(b, s, "d")
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := v.Query(Query{}, func(*Entry) bool { n++; return true }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mentries/s")
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := newStore(b, dir)
	entries := flatEntries(1_000_000)
	fill(b, s, "d", "g", entries, nil, 1, every(len(entries), segmentFiles)...)
	for b.Loop() {
		newStore(b, dir)
	}
}

func BenchmarkQuery(b *testing.B) {
	s := newStore(b, b.TempDir())
	entries := flatEntries(2_000_000)
	for i := range entries { // 50 rare ones in all
		if i%40_000 == 0 {
			entries[i].Type, entries[i].Linked = Auth, false
		}
	}
	fill(b, s, "d", "g", entries, nil, 1, every(len(entries), segmentFiles)...)
	v := view(b, s, "d")
	auth, pitr := Auth, Pitr
	year := time.UnixMilli(1_600_000_000_000).Add(24 * time.Hour).UnixMilli()
	for name, q := range map[string]Query{
		"all":     {},
		"orphans": {OrphansOnly: true},
		"rare":    {Type: &auth},
		"none":    {Type: &pitr},
		"old":     {ModifiedBefore: year},
		"rareold": {Type: &auth, OrphansOnly: true, ModifiedBefore: year},
		"prefix":  {Prefix: []byte("backups/production/bkp_8"), Type: &auth},
		"cursor":  {Cursor: entries[1_234_567].Path},
	} {
		q.Limit = 100
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := v.Query(q, func(*Entry) bool { return true }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, q := range map[string]Query{
		"prefix": {Prefix: []byte("backups/production/bkp_8"), OrphansOnly: true},
		"aged":   {ModifiedBefore: year * 2 / 2},
	} {
		b.Run("totals-"+name, func(b *testing.B) {
			f := q.filter()
			for b.Loop() {
				if _, err := v.totals(q.Prefix, &f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDelta applies one change that touches one file of a full segment, with its
// sync.
func BenchmarkDelta(b *testing.B) {
	s := newStore(b, b.TempDir())
	entries := flatEntries(segmentFiles)
	fill(b, s, "d", "g", entries, nil, 1)
	index, linked := uint64(1), false
	for b.Loop() {
		index++
		linked = !linked
		stem := keyspace.Stem(entries[1234].Path)
		look := func([]byte) (Class, error) { return Class{Type: Auth, Linked: linked}, nil }
		if err := s.ApplyChanges("d", "g", []Change{{Index: index, Stems: [][]byte{stem}}}, look, nil); err != nil {
			b.Fatal(err)
		}
	}
}
