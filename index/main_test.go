package index

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"firescan/keyspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flatEntries are files as a flat bucket has them: random ids, sizes around megabytes,
// times over years in no order.
func flatEntries(n int) []Entry {
	rng := rand.New(rand.NewPCG(1, 2))
	entries := make([]Entry, n)
	for i := range entries {
		var id [8]byte
		binary.BigEndian.PutUint64(id[:], rng.Uint64())
		entries[i] = Entry{
			Path:    []byte("backups/production/bkp_" + hex.EncodeToString(id[:]) + ".backup"),
			Size:    rng.Int64N(8 << 20),
			ModTime: (1_600_000_000 + rng.Int64N(4*365*24*3600)) * 1000,
			Digest:  rng.Uint64(),
			Type:    Backup,
			Linked:  rng.IntN(3) > 0,
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return slices.Compare(a.Path, b.Path) })
	// Neighbors lie next to each other in memory, as they do in a page of a listing.
	var all []byte
	for i := range entries {
		all = append(all, entries[i].Path...)
	}
	for i := range entries {
		n := len(entries[i].Path)
		entries[i].Path, all = all[:n:n], all[n:]
	}
	return entries
}

func newStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill writes entries as segments that begin at the given positions and promotes them as
// generation gen.
func fill(t fataler, s *Store, dest, gen string, entries []Entry, missing []Missing, at uint64, cuts ...int) Manifest {
	t.Helper()
	m := Manifest{Generation: gen}
	cuts = append(append([]int{0}, cuts...), len(entries))
	var start []byte
	for i := range len(cuts) - 1 {
		var end []byte
		if i < len(cuts)-2 {
			end = entries[cuts[i+1]].Path
		}
		id := fmt.Sprintf("%s-%d", gen, i)
		w, err := s.NewSegment(dest, id, start)
		if err != nil {
			t.Fatal(err)
		}
		for j := cuts[i]; j < cuts[i+1]; j++ {
			if err := w.Add(&entries[j]); err != nil {
				t.Fatal(err)
			}
		}
		for _, miss := range missing {
			if string(miss.Path) >= string(start) && keyspace.BeforeEnd(miss.Path, end) {
				if err := w.AddMissing(miss); err != nil {
					t.Fatal(err)
				}
			}
		}
		start = end
		if i%2 == 1 && end != nil {
			// The range between the last file or missing record and the next segment is
			// nobody's.
			end = keyspace.AfterBytes(entries[cuts[i+1]-1].Path)
			for _, miss := range missing {
				if keyspace.BeforeEnd(miss.Path, start) && !keyspace.BeforeEnd(miss.Path, end) {
					end = keyspace.AfterBytes(miss.Path)
				}
			}
		}
		info, err := w.Seal(end, at)
		if err != nil {
			t.Fatal(err)
		}
		m.Segments = append(m.Segments, SegmentRef{ID: info.ID, Checksum: info.Checksum})
	}
	if err := s.Promote(dest, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func view(t testing.TB, s *Store, dest string) *View {
	t.Helper()
	v, err := s.View(dest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Release)
	return v
}

// fataler is what testing and rapid have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
}
