package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, f := range files {
		list = append(list, f.Name())
	}
	return list
}

func count(t *testing.T, v *View) (n int) {
	t.Helper()
	if _, _, err := v.Query(Query{}, func(*Entry) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReadersOfTheOldGenerationFinishOnIt(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	entries := flatEntries(3_000)
	fill(t, s, "d", "g1", entries, nil, 1, 1_000, 2_000)
	old := view(t, s, "d")
	n := 0
	_, _, err := old.Query(Query{}, func(*Entry) bool {
		if n++; n == 10 {
			fill(t, s, "d", "g2", entries[:500], nil, 2)
		}
		return true
	})
	if err != nil || n != len(entries) {
		t.Fatal(n, err)
	}
	if got := names(t, filepath.Join(dir, "d")); !slices.Equal(got, []string{"g2-0.seg", manifestName}) {
		t.Fatal(got)
	}
	if err := s.Drop("d"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, old); n != len(entries) {
		t.Fatal(n)
	}
	old.Release()
	old.Release()
	if _, _, err := old.Query(Query{}, nil); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := s.View("d"); !errors.Is(err, ErrNoShard) {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Fatal(got)
	}
}

func TestViewDoesNotSeeLaterDeltas(t *testing.T) {
	s := newStore(t, t.TempDir())
	entries := flatEntries(2_000)
	fill(t, s, "d", "g", entries, nil, 1, 1_000)
	old := view(t, s, "d")
	var gone [][]byte
	for i := range entries {
		gone = append(gone, entries[i].Path)
	}
	if err := s.ApplyChanges("d", "g", []Change{{Index: 2, Deleted: gone}}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := count(t, old), count(t, view(t, s, "d")); a != len(entries) || b != 0 {
		t.Fatal(a, b)
	}
	err := s.ApplyChanges("d", "other", []Change{{Index: 3}}, nil, nil)
	if !errors.Is(err, ErrStale) {
		t.Fatal(err)
	}
}

func TestSegmentsSkipChangesBeforeTheirClassification(t *testing.T) {
	s := newStore(t, t.TempDir())
	entries := flatEntries(10)
	fill(t, s, "d", "g", entries, nil, 50)
	change := func(index uint64) Change { return Change{Index: index, Deleted: [][]byte{entries[index%10].Path}} }
	if err := s.ApplyChanges("d", "g", []Change{change(49), change(50), change(51)}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if n := count(t, view(t, s, "d")); n != 9 {
		t.Fatal(n)
	}
	if _, applied, _ := s.Generation("d"); applied != 51 {
		t.Fatal(applied)
	}
}

func TestPromoteRefuses(t *testing.T) {
	s := newStore(t, t.TempDir())
	seal := func(id, start, end string) SegmentRef {
		w, err := s.NewSegment("d", id, []byte(start))
		if err != nil {
			t.Fatal(err)
		}
		info, err := w.Seal([]byte(end), 1)
		if err != nil {
			t.Fatal(err)
		}
		return SegmentRef{id, info.Checksum}
	}
	a, b, c := seal("a", "", "m"), seal("b", "m", ""), seal("c", "l", "")
	for name, m := range map[string]Manifest{
		"an overlap":            {Segments: []SegmentRef{a, c}},
		"a disorder":            {Segments: []SegmentRef{b, a}},
		"another one":           {Segments: []SegmentRef{a, {"b", b.Checksum + 1}}},
		"one that is not there": {Segments: []SegmentRef{a, {"x", 0}}},
	} {
		m.Generation = "bad"
		if err := s.Promote("d", m); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrNoSegment) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Promote("d", Manifest{Generation: "g", Segments: []SegmentRef{a, b}, AppliedDelta: 99}); err != nil {
		t.Fatal(err)
	}
	if gen, applied, ok := s.Generation("d"); gen != "g" || applied != 1 || !ok {
		t.Fatal(gen, applied, ok)
	}
}

func TestOpenAndGCKeepNeededFiles(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	entries := flatEntries(100)
	fill(t, s, "d", "g", entries, nil, 1, 50)
	for _, id := range []string{"running", "stale"} {
		w, err := s.NewSegment("d", id, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Seal(nil, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.NewSegment("d", "unfinished", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, dir)
	if got := names(t, filepath.Join(dir, "d")); !slices.Equal(got, []string{"g-0.seg", "g-1.seg", manifestName, "running.seg", "stale.seg"}) {
		t.Fatal(got)
	}
	if err := s.GC("d", func(id string) bool { return id == "running" }); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Join(dir, "d")); !slices.Equal(got, []string{"g-0.seg", "g-1.seg", manifestName, "running.seg"}) {
		t.Fatal(got)
	}
	if ids, err := s.Destinations(); err != nil || !slices.Equal(ids, []string{"d"}) {
		t.Fatal(ids, err)
	}
	if n := count(t, view(t, s, "d")); n != 100 {
		t.Fatal(n)
	}
}

func TestEmptyShard(t *testing.T) {
	s := newStore(t, t.TempDir())
	fill(t, s, "d", "g", nil, nil, 1)
	v := view(t, s, "d")
	if n := count(t, v); n != 0 {
		t.Fatal(n)
	}
	if cuts, err := v.Cuts(4); len(cuts) != 0 || err != nil {
		t.Fatal(cuts, err)
	}
	if err := s.ApplyChanges("d", "g", []Change{{Index: 5, Stems: [][]byte{[]byte("x")}, Prefixes: [][]byte{nil}}}, nil, nil); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentReadersAndWriters(t *testing.T) {
	s := newStore(t, t.TempDir())
	entries := flatEntries(4_000)
	fill(t, s, "d", "g0", entries, nil, 1, 1_500)
	var readers, writers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v, err := s.View("d")
				if err != nil {
					t.Error(err)
					return
				}
				stats := v.Stats()
				want := stats.Totals()
				got, err := v.Totals(Query{ModifiedBefore: 1<<62 + int64(i%2)*60_000})
				if err != nil || got != want {
					t.Errorf("%+v, want %+v, %v", got, want, err)
				}
				n := 0
				_, _, err = v.Query(Query{OrphansOnly: true}, func(*Entry) bool { n++; return true })
				if err != nil || uint64(n) != want.OrphanFiles {
					t.Errorf("%d orphans, want %d, %v", n, want.OrphanFiles, err)
				}
				v.Release()
			}
		})
	}
	writers.Go(func() {
		for i := range 10 {
			gen, applied, _ := s.Generation("d")
			linked := i%2 == 0
			err := s.ApplyChanges("d", gen, []Change{{Index: applied + 1, Prefixes: [][]byte{nil}}}, func([]byte) (Class, error) { return Class{Type: Backup, Linked: linked}, nil }, nil)
			if err != nil && !errors.Is(err, ErrStale) {
				t.Error(err)
			}
		}
	})
	writers.Go(func() {
		for i := range 5 {
			fill(t, s, "d", fmt.Sprint("g", i+1), entries, nil, uint64(i), 2_000)
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	dir := t.TempDir()
	for range 2 { // a second store may follow the first one
		s, err := Open(dir, Options{Registerer: reg})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.TempDir(), Options{Registerer: reg}); err == nil {
			t.Fatal("two stores share a registry")
		}
		if _, _, ok := s.Generation("d"); !ok {
			fill(t, s, "d", "g", flatEntries(1_000), nil, 1, 300)
		}
		v := view(t, s, "d")
		count(t, v)
		want := `
# HELP firescan_index_segments_open Sealed segments that are open for reading.
# TYPE firescan_index_segments_open gauge
firescan_index_segments_open 2
# HELP firescan_index_blocks_read_total Blocks that were read, by headers or whole.
# TYPE firescan_index_blocks_read_total counter
firescan_index_blocks_read_total 5
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "firescan_index_segments_open", "firescan_index_blocks_read_total"); err != nil {
			t.Fatal(err)
		}
		v.Release()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := testutil.ToFloat64(s.env.met.segments) + testutil.ToFloat64(s.env.met.bytes); n != 0 {
			t.Fatal("segments stay open: ", n)
		}
	}
}

func TestRetireKeepsSegmentsOfARunningSync(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	fill(t, s, "d", "g", flatEntries(100), nil, 1, 50)
	old := view(t, s, "d")
	w, err := s.NewSegment("d", "running", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Seal(nil, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Retire("d"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Join(dir, "d")); !slices.Equal(got, []string{"running.seg"}) {
		t.Fatal(got)
	}
	if _, err := s.View("d"); !errors.Is(err, ErrNoShard) {
		t.Fatal(err)
	}
	if n := count(t, old); n != 100 {
		t.Fatal(n)
	}
}
