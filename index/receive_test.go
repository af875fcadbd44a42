package index

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// copySegment copies a segment from one store to another, at most limit bytes at a time,
// as if the connection broke and the node was restarted each time.
func copySegment(t *testing.T, from *Store, dir, dest string, ref SegmentRef, limit int64) (*Store, int) {
	t.Helper()
	for tries := 1; ; tries++ {
		to, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		f, tag, err := from.OpenSealed(dest, ref.ID)
		if err != nil {
			t.Fatal(err)
		}
		in, err := to.Receive(dest, ref.ID)
		if err != nil {
			t.Fatal(err)
		}
		if in.Tag() != tag {
			if err := in.Begin(tag); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Seek(in.Offset(), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyN(in, f, limit)
		_ = f.Close()
		if errors.Is(err, io.EOF) {
			if err := in.Commit(ref.Checksum); err != nil {
				t.Fatal(err)
			}
			return to, tries
		}
		if err != nil || n != limit {
			t.Fatal(n, err)
		}
		if err := errors.Join(in.Close(), to.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReceive: a shard that was copied in pieces answers as its origin does, with the
// deltas that the origin had applied and those that come after.
func TestReceive(t *testing.T) {
	const dest = "storage_1"
	from := newStore(t, t.TempDir())
	entries := flatEntries(3000)
	m := fill(t, from, dest, "gen", entries, nil, 5, 1000, 2000)
	look := func([]byte) (Type, bool, error) { return Backup, false, nil }
	change := func(index uint64, path []byte) Change { return Change{Index: index, Deleted: [][]byte{path}} }
	if err := from.ApplyChanges(dest, "gen", []Change{change(6, entries[10].Path)}, look, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var to *Store
	for i, ref := range m.Segments {
		if to != nil {
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var tries int
		if to, tries = copySegment(t, from, dir, dest, ref, 7000); i == 0 && tries < 3 {
			t.Errorf("%d pieces", tries)
		}
		if !to.Has(dest, ref.ID) {
			t.Error("the store does not have what was copied to it")
		}
	}
	defer to.Close()
	if err := to.Promote(dest, m); err != nil {
		t.Fatal(err)
	}
	last := change(7, entries[2500].Path)
	for _, s := range []*Store{from, to} {
		if err := s.ApplyChanges(dest, "gen", []Change{change(6, entries[10].Path), last}, look, nil); err != nil {
			t.Fatal(err)
		}
		if n := count(t, view(t, s, dest)); n != len(entries)-2 {
			t.Errorf("%d files", n)
		}
	}
}

// TestReceiveRefuses what is not the segment that was asked for, and leaves nothing of it.
func TestReceiveRefuses(t *testing.T) {
	const dest = "storage_1"
	from := newStore(t, t.TempDir())
	m := fill(t, from, dest, "gen", flatEntries(500), nil, 5, 250)
	whole := func(id string) []byte {
		data, err := os.ReadFile(filepath.Join(from.dir, dest, id+sealedSuffix))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first, second := m.Segments[0], m.Segments[1]
	torn := whole(first.ID)
	altered := whole(first.ID)
	altered[len(altered)/2] ^= 1
	for name, c := range map[string]struct {
		data   []byte
		sealed uint64
	}{
		"torn":                  {torn[:len(torn)/2], first.Checksum},
		"altered":               {altered, first.Checksum},
		"empty":                 {nil, first.Checksum},
		"another segment":       {whole(second.ID), first.Checksum},
		"of another generation": {whole(first.ID), first.Checksum + 1},
	} {
		t.Run(name, func(t *testing.T) {
			to := newStore(t, t.TempDir())
			in, err := to.Receive(dest, first.ID)
			if err == nil {
				err = in.Begin("tag")
			}
			if err == nil {
				_, err = in.Write(c.data)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Commit(c.sealed); !errors.As(err, new(*CorruptError)) {
				t.Errorf("committed: %v", err)
			}
			if left := names(t, filepath.Join(to.dir, dest)); len(left) != 0 || to.Has(dest, first.ID) {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	if _, _, err := from.OpenSealed(dest, "nothing"); !errors.Is(err, ErrNoSegment) {
		t.Error(err)
	}
	if _, err := from.Receive(dest, "../up"); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

// TestSweepTakesParts that are not needed any more.
func TestSweepTakesParts(t *testing.T) {
	const dest = "storage_1"
	s := newStore(t, t.TempDir())
	for _, id := range []string{"kept", "gone"} {
		in, err := s.Receive(dest, id)
		if err == nil {
			err = errors.Join(in.Begin("tag"), in.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(dest, func(id string) bool { return id == "kept" }); err != nil {
		t.Fatal(err)
	}
	if left := names(t, filepath.Join(s.dir, dest)); len(left) != 1 || left[0] != "kept.tag.part" {
		t.Errorf("left: %v", left)
	}
}
