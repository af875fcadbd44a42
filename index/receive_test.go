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

// TestReceive: a shard that was copied in pieces returns as its origin does, with the
// deltas that the origin had applied and those that come after.
func TestReceive(t *testing.T) {
	const dest = "storage_1"
	from := newStore(t, t.TempDir())
	entries := flatEntries(3000)
	m := fill(t, from, dest, "gen", entries, nil, 5, 1000, 2000)
	look := func([]byte) (Class, error) { return Class{Type: Backup}, nil }
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

// TestReceiveRefuses a file that is not the requested segment, and leaves nothing of
// it.
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

// TestGCRemovesParts that are not needed any more.
func TestGCRemovesParts(t *testing.T) {
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
	if err := s.GC(dest, func(id string) bool { return id == "kept" }); err != nil {
		t.Fatal(err)
	}
	if left := names(t, filepath.Join(s.dir, dest)); len(left) != 1 || left[0] != "kept.tag.part" {
		t.Errorf("left: %v", left)
	}
}

// TestDamageIsNotSent: a file that rotted is set aside when another node asks for it,
// and the copy that comes in its place heals the shard.
func TestDamageIsNotSent(t *testing.T) {
	const dest = "storage_1"
	from, to := newStore(t, t.TempDir()), newStore(t, t.TempDir())
	entries := flatEntries(500)
	m := fill(t, from, dest, "gen", entries, nil, 5, 250)
	ref := m.Segments[1]
	copyTo := func(from, to *Store) error {
		f, tag, err := from.OpenSealed(dest, ref.ID)
		if err != nil {
			return err
		}
		defer f.Close()
		in, err := to.Receive(dest, ref.ID)
		if err != nil {
			return err
		}
		if err := in.Begin(tag); err != nil {
			return errors.Join(err, in.Close())
		}
		if _, err := io.Copy(in, f); err != nil {
			return errors.Join(err, in.Close())
		}
		return in.Commit(ref.Checksum)
	}
	if err := copyTo(from, to); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(from.dir, dest, ref.ID+sealedSuffix)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	// Not in place: the readers of the old file keep it.
	if err := errors.Join(os.Remove(path), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if _, _, err := from.OpenSealed(dest, ref.ID); !errors.As(err, &corrupt) || corrupt.Segment != ref.ID {
		t.Fatalf("a damaged file was opened: %v", err)
	}
	if _, _, ok := from.Generation(dest); ok || from.Has(dest, ref.ID) {
		t.Error("the shard is whole with a damaged file")
	}
	if _, _, err := from.OpenSealed(dest, ref.ID); !errors.Is(err, ErrNoSegment) {
		t.Errorf("set aside, and opened again: %v", err)
	}
	if err := errors.Join(copyTo(to, from), from.Promote(dest, m)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, view(t, from, dest)); n != len(entries) {
		t.Errorf("%d files", n)
	}
}

// TestReceiveOnce: a segment comes once at a time, whether the last one was broken off,
// could not be written, or came to its end.
func TestReceiveOnce(t *testing.T) {
	const dest, id = "storage_1", "seg"
	s := newStore(t, t.TempDir())
	begin := func() *Incoming {
		t.Helper()
		in, err := s.Receive(dest, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Receive(dest, id); !errors.Is(err, ErrExists) {
			t.Errorf("twice at once: %v", err)
		}
		if other, err := s.Receive(dest, "other"); err != nil {
			t.Error(err)
		} else if err := other.Close(); err != nil {
			t.Error(err)
		}
		return in
	}
	in := begin()
	if _, err := in.Write([]byte("x")); err == nil || in.Commit(1) == nil {
		t.Error("wrote before Begin")
	}
	in = begin()
	err := in.Begin("tag")
	if err == nil {
		_, err = in.Write([]byte("abc"))
	}
	if err := errors.Join(err, in.Close(), in.Close()); err != nil {
		t.Fatal(err)
	}
	in = begin()
	if in.Tag() != "tag" || in.Offset() != 3 {
		t.Errorf("%q, %d bytes, are here of what was broken off", in.Tag(), in.Offset())
	}
	_ = in.f.Close() // as a disk fails
	if _, err := in.Write([]byte("d")); err == nil || in.Tag() != "" {
		t.Errorf("a failed write leaves %q: %v", in.Tag(), err)
	}
	_ = in.Close()
	if left := names(t, filepath.Join(s.dir, dest)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	in = begin()
	if err := errors.Join(in.Begin("tag"), in.Close(), s.GC(dest, func(string) bool { return false })); err != nil {
		t.Fatal(err)
	}
	if in = begin(); in.Tag() != "" {
		t.Errorf("a copy that GC removed is resumed: %q", in.Tag())
	}
	if err := in.Begin("a.b"); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	_ = in.Close()
}

// TestGCListsBeforeKeep: a file that comes while it is looked up what is needed stays.
func TestGCListsBeforeKeep(t *testing.T) {
	const dest = "storage_1"
	s := newStore(t, t.TempDir())
	file := func(id string) string { return filepath.Join(s.dir, dest, id+sealedSuffix) }
	if err := os.MkdirAll(filepath.Join(s.dir, dest), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(id string) {
		if err := os.WriteFile(file(id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("old")
	if err := s.GC(dest, func(string) bool { put("new"); return false }); err != nil {
		t.Fatal(err)
	}
	if s.Has(dest, "old") || !s.Has(dest, "new") {
		t.Error("GC removed a file because of state from before its listing")
	}
}
