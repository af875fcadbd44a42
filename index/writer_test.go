package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestWriterRefuses(t *testing.T) {
	long := []byte(strings.Repeat("x", MaxPath+1))
	for name, c := range map[string]struct {
		entries []Entry
		end     string
		want    error
	}{
		"an empty path":    {[]Entry{{}}, "", ErrInvalid},
		"a long path":      {[]Entry{{Path: long}}, "", ErrInvalid},
		"a negative size":  {[]Entry{{Path: []byte("m"), Size: -1}}, "", ErrInvalid},
		"a type":           {[]Entry{{Path: []byte("m"), Type: numTypes}}, "", ErrInvalid},
		"the same path":    {[]Entry{{Path: []byte("m")}, {Path: []byte("m")}}, "", ErrOrder},
		"a path before":    {[]Entry{{Path: []byte("mb")}, {Path: []byte("ma")}}, "", ErrOrder},
		"a prefix before":  {[]Entry{{Path: []byte("mm")}, {Path: []byte("m")}}, "", ErrOrder},
		"before the start": {[]Entry{{Path: []byte("a")}}, "", ErrOrder},
		"at the end":       {[]Entry{{Path: []byte("m")}, {Path: []byte("q")}}, "q", ErrOrder},
		"nothing":          {[]Entry{{Path: []byte("k")}, {Path: []byte("m")}}, "q", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newStore(t, dir)
			w, err := s.NewSegment("d", "s", []byte("k"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.entries {
				err = errors.Join(err, w.Add(&c.entries[i]))
			}
			_, sealErr := w.Seal([]byte(c.end), 1)
			if c.want != nil && (!errors.Is(sealErr, c.want) || err != nil && !errors.Is(err, c.want)) || c.want == nil && sealErr != nil {
				t.Fatal(err, sealErr)
			}
			if err := w.Add(&Entry{Path: []byte("z")}); err == nil {
				t.Fatal("a writer that is done takes more")
			}
			if err := w.AddMissing(Missing{Path: []byte("z")}); err == nil {
				t.Fatal("a writer that is done takes more")
			}
			if err := w.Abort(); err != nil {
				t.Fatal(err)
			}
			want := 0
			if c.want == nil {
				want = 1
			}
			if files, _ := os.ReadDir(filepath.Join(dir, "d")); len(files) != want {
				t.Fatal(files)
			}
		})
	}
}

func TestSegmentNames(t *testing.T) {
	s := newStore(t, t.TempDir())
	for _, n := range []string{"", ".", "..", "a/b", `a\b`, "a\x00", ".hidden", strings.Repeat("x", 200)} {
		if _, err := s.NewSegment(n, "s", nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("destination %q: %v", n, err)
		}
		if _, err := s.NewSegment("d", n, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("segment %q: %v", n, err)
		}
	}
	w, err := s.NewSegment("d", "s", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewSegment("d", "s", nil); !errors.Is(err, ErrExists) {
		t.Fatal("while it is written: ", err)
	}
	if _, err := w.Seal(nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewSegment("d", "s", nil); !errors.Is(err, ErrExists) {
		t.Fatal("when it is sealed: ", err)
	}
}

func TestSealAndVerifyAgree(t *testing.T) {
	s := newStore(t, t.TempDir())
	w, err := s.NewSegment("d", "s", []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5_000 {
		if err := w.Add(&Entry{Path: fmt.Appendf(nil, "k%05d", i), Size: 2, ModTime: 1, Type: Meta, Linked: i%2 == 0}); err != nil {
			t.Fatal(err)
		}
		if w.Len() != i+1 {
			t.Fatal(w.Len())
		}
	}
	for range 2 { // twice the same is once
		if err := w.AddMissing(Missing{[]byte("o"), []byte("b"), []byte("k1")}); err != nil {
			t.Fatal(err)
		}
	}
	sealed, err := w.Seal([]byte("l"), 77)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := s.Verify("d", "s")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", sealed) != fmt.Sprintf("%+v", verified) {
		t.Fatalf("%+v, verified %+v", sealed, verified)
	}
	if sealed.Missing != 1 || sealed.Stats.Files() != 5_000 || sealed.Stats.OrphanBytes() != 5_000 || sealed.ClassifiedAt != 77 ||
		string(sealed.Start) != "a" || string(sealed.End) != "l" || sealed.ID != "s" {
		t.Fatalf("%+v", sealed)
	}
	if _, err := s.Verify("d", "other"); !errors.Is(err, ErrNoSegment) {
		t.Fatal(err)
	}
}

func TestChecksumIsOfTheContent(t *testing.T) {
	entries := flatEntries(1_000)
	a := fill(t, newStore(t, t.TempDir()), "d", "g", entries, nil, 1, 400)
	b := fill(t, newStore(t, t.TempDir()), "d", "g", entries, nil, 1, 400)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Fatal("the same files give other checksums")
	}
	entries[500].Linked = !entries[500].Linked
	c := fill(t, newStore(t, t.TempDir()), "d", "g", entries, nil, 1, 400)
	if a.Segments[0] != c.Segments[0] || a.Segments[1] == c.Segments[1] {
		t.Fatal(a, c)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	s := newStore(t, t.TempDir())
	w, err := s.NewSegment("d", "s", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Abort() }()
	entries := flatEntries(40_000)
	add := func() {
		for range 10_000 {
			if err := w.Add(&entries[w.Len()]); err != nil {
				t.Fatal(err)
			}
		}
	}
	add()
	// What is left is the summary: a fence for each 4,096 files, and its slices as they
	// grow.
	if n := testing.AllocsPerRun(1, add); n > 20 {
		t.Fatalf("%v allocations for 10,000 files", n)
	}
}

func TestOpenWritersNeedLittleMemory(t *testing.T) {
	s := newStore(t, t.TempDir())
	entries := flatEntries(6_000)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	at := heap()
	for i := range 64 {
		w, err := s.NewSegment("d", fmt.Sprint("s", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Abort() }()
		for j := range entries {
			if err := w.Add(&entries[j]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := (int64(heap()) - int64(at)) / 64; n > 256<<10 {
		t.Fatalf("%d bytes for each open writer", n)
	}
}
