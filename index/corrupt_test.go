package index

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firescan/keyspace"
)

// smallShard writes two segments with a few blocks and missing records, the second one as
// a delta left it.
func smallShard(t testing.TB, dir string) (Manifest, []Entry) {
	t.Helper()
	s := newStore(t, dir)
	s.blockEntries = 8
	entries := flatEntries(150)
	lost := []Missing{{[]byte("o"), []byte("b1"), []byte("a")}, {[]byte("o"), []byte("b2"), []byte("zzz")}}
	m := fill(t, s, "d", "g", entries, lost, 1, 70)
	stem := keyspace.Stem(entries[100].Path)
	change := []Change{{Index: 2, Stems: [][]byte{stem}, Deleted: [][]byte{entries[140].Path}}}
	if err := s.ApplyChanges("d", "g", change, func([]byte) (Class, error) { return Class{Type: Auth, Linked: true}, nil }, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return m, entries
}

// suspectEverywhere checks that the damage is named wherever one could meet it, and that
// nothing else is returned.
func suspectEverywhere(t fataler, s *Store, segment string) {
	t.Helper()
	_, err := s.View("d")
	damage, ok := errors.AsType[*CorruptError](err)
	if !ok || damage.Destination != "d" || segment != "" && damage.Segment != segment {
		t.Fatal("view: ", err)
	}
	if _, _, ok := s.Generation("d"); ok {
		t.Fatal("a suspect generation is shown")
	}
}

func TestDamagedFileMakesTheShardSuspect(t *testing.T) {
	m, _ := smallShard(t, t.TempDir())
	origin := t.TempDir()
	smallShard(t, origin)
	root := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		dir := filepath.Join(root, strings.Repeat("r", run%100+1))
		_ = os.RemoveAll(dir)
		if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
			t.Fatal(err)
		}
		id := m.Segments[rapid.IntRange(0, 1).Draw(t, "segment")].ID
		path := filepath.Join(dir, "d", id+sealedSuffix)
		buf, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(buf)-1).Draw(t, "at")
		if rapid.Bool().Draw(t, "torn") {
			buf = buf[:at]
		} else {
			for i := range rapid.IntRange(1, 16).Draw(t, "bytes") {
				buf[(at+i)%len(buf)] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
			}
		}
		if err := os.WriteFile(path, buf, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		suspectEverywhere(t, s, id)
		if _, err := os.Stat(path + badSuffix); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verify("d", id); !errors.Is(err, ErrNoSegment) {
			t.Fatal("verify: ", err)
		}
		if err := s.Promote("d", m); !errors.Is(err, ErrNoSegment) {
			t.Fatal("promote: ", err)
		}
	})
}

func TestShardRecoversWithAGoodCopy(t *testing.T) {
	dir := t.TempDir()
	m, entries := smallShard(t, dir)
	path := filepath.Join(dir, "d", m.Segments[0].ID+sealedSuffix)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, dir)
	suspectEverywhere(t, s, m.Segments[0].ID)
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Promote("d", m); err != nil {
		t.Fatal(err)
	}
	stats := view(t, s, "d").Stats()
	if stats.Files() != uint64(len(entries))-1 {
		t.Fatal(stats.Files())
	}
	if _, err := os.Stat(path + badSuffix); !os.IsNotExist(err) {
		t.Fatal("the damaged file stays: ", err)
	}
}

func TestDamageUnderAnOpenMapIsAnError(t *testing.T) {
	// The files are altered after they were checked, as a failing disk would.
	alter := map[string]func(path string, size int64) error{
		"truncated": func(path string, size int64) error { return os.Truncate(path, 4096) },
		"zeroed": func(path string, size int64) error {
			return errors.Join(os.Truncate(path, 0), os.Truncate(path, size))
		},
		"garbage": func(path string, size int64) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(size)-2048), 2048)
			return errors.Join(err, f.Close())
		},
	}
	read := map[string]func(*Store, *View, string) error{
		"query": func(s *Store, v *View, id string) error {
			_, _, err := v.Query(Query{}, func(*Entry) bool { return true })
			return err
		},
		"totals": func(s *Store, v *View, id string) error {
			_, err := v.Totals(Query{Prefix: []byte("backups/p")})
			return err
		},
		"aged": func(s *Store, v *View, id string) error {
			_, err := v.Totals(Query{ModifiedBefore: 1_650_000_000_000})
			return err
		},
		"missing": func(s *Store, v *View, id string) error { _, _, err := v.Missing("", nil, 0); return err },
		"cuts":    func(s *Store, v *View, id string) error { _, err := v.Cuts(7); return err },
		"verify":  func(s *Store, v *View, id string) error { _, err := s.Verify("d", id); return err },
		"delta": func(s *Store, v *View, id string) error {
			return s.ApplyChanges("d", "g", []Change{{Index: 9, Prefixes: [][]byte{nil}}}, func([]byte) (Class, error) { return Class{Type: Meta}, nil }, nil)
		},
	}
	for how, alter := range alter {
		for what, read := range read {
			t.Run(how+"/"+what, func(t *testing.T) {
				dir := t.TempDir()
				m, _ := smallShard(t, dir)
				s := newStore(t, dir)
				v := view(t, s, "d")
				id := m.Segments[0].ID
				path := filepath.Join(dir, "d", id+sealedSuffix)
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := alter(path, info.Size()); err != nil {
					t.Fatal(err)
				}
				err = read(s, v, id)
				if damage, ok := errors.AsType[*CorruptError](err); !ok || damage.Segment != id {
					t.Fatal(err)
				}
				suspectEverywhere(t, s, id)
				if err := read(s, v, id); err == nil {
					t.Fatal("the old view still returns data")
				}
			})
		}
	}
}

func TestDamagedManifest(t *testing.T) {
	for name, alter := range map[string]func([]byte) []byte{
		"torn":    func(b []byte) []byte { return b[:len(b)/2] },
		"empty":   func(b []byte) []byte { return nil },
		"flipped": func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m, _ := smallShard(t, dir)
			path := filepath.Join(dir, "d", manifestName)
			buf, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, alter(buf), 0o600); err != nil {
				t.Fatal(err)
			}
			s := newStore(t, dir)
			suspectEverywhere(t, s, "")
			// The segments are whole, so the same generation can be promoted again.
			if err := s.Promote("d", m); err != nil {
				t.Fatal(err)
			}
			view(t, s, "d")
		})
	}
}

func TestMissingFileMakesTheShardSuspect(t *testing.T) {
	dir := t.TempDir()
	m, _ := smallShard(t, dir)
	if err := os.Remove(filepath.Join(dir, "d", m.Segments[1].ID+sealedSuffix)); err != nil {
		t.Fatal(err)
	}
	suspectEverywhere(t, newStore(t, dir), "")
}
