package index

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firescan/keyspace"
)

// encodeBlock makes a block of at most maxBlockEntries entries.
func encodeBlock(entries []Entry) (key, block []byte, h head) {
	b := builder{limit: maxBlockEntries}
	var last []byte
	for i := range entries {
		b.add(&entries[i], keyspace.CommonPrefix(last, entries[i].Path))
		last = entries[i].Path
	}
	block = b.encode(nil)
	return b.key, block, b.head
}

func decodeBlock(key, block []byte) (entries []Entry, h head, err error) {
	var r reader
	if err := r.open(key, block); err != nil {
		return nil, r.head, err
	}
	var e Entry
	for r.next(&e) {
		c := e
		c.Path = bytes.Clone(e.Path)
		entries = append(entries, c)
	}
	return entries, r.head, r.err
}

func goldenEntries() []Entry {
	return []Entry{
		{Path: []byte("backups/production/bkp_00ff12ab34cd56ef.auth.json"), Size: 0, ModTime: 1_700_000_000_000, Digest: 1, Type: Auth, Linked: true},
		{Path: []byte("backups/production/bkp_00ff12ab34cd56ef.backup"), Size: 1 << 30, ModTime: 1_700_000_001_000, Digest: 0xffffffffffffffff, Type: Backup, Linked: true},
		{Path: []byte("backups/production/bkp_00ff12ab34cd5700.backup"), Size: 300, ModTime: 0, Digest: 2, Type: Backup},
		{Path: []byte("backups/ünï %+&.meta"), Size: 5, ModTime: 1_600_000_000_000, Digest: 3, Type: Meta},
		{Path: []byte("pitr/log"), Size: 77, ModTime: 1_650_000_000_000, Digest: 4, Type: Pitr, Linked: true},
		{Path: []byte("x"), Size: 1, ModTime: 1_650_000_000_000, Digest: 5, Type: Unknown},
	}
}

// byStemEntries are goldenEntries with files that only a stem links, of every type.
func byStemEntries() []Entry {
	entries := goldenEntries()
	for i := range entries {
		entries[i].Type, entries[i].Linked, entries[i].ByStem = Type(i%numTypes), true, i < numTypes
	}
	return entries
}

// golden compares got with a file of hexadecimal text. Set FIRESCAN_GOLDEN=write to
// accept a new format, together with a new formatVersion.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("FIRESCAN_GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(hex.Dump(got)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.Dump(got) != string(want) {
		t.Errorf("%s has changed: files that exist can no longer be read.\n%s", name, hex.Dump(got))
	}
}

func TestBlockGolden(t *testing.T) {
	_, block, _ := encodeBlock(goldenEntries())
	golden(t, "block.hex", block)
	_, block, _ = encodeBlock(byStemEntries())
	golden(t, "block_bystem.hex", block)
}

func TestSummaryGolden(t *testing.T) {
	key, _, h := encodeBlock(goldenEntries())
	var s summary
	s.add(key, &h)
	golden(t, "summary.hex", s.encode())
	key, _, h = encodeBlock(byStemEntries())
	s.add(key, &h)
	golden(t, "summary_bystem.hex", s.encode())
}

func TestMetaGolden(t *testing.T) {
	m := segmentMeta{
		Version: 1, ID: "01J", Start: []byte("a"), End: []byte("b"), ClassifiedAt: 7, Applied: 9, Entries: 3, Blocks: 1, Missing: 2,
		Newest: 5, Content: 1<<64 - 1, Sealed: 1<<64 - 2,
	}
	m.Cells[1] = cell{3, 4, 5}
	got, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "meta.hex", got)
	back, err := decodeMeta(got)
	if err != nil || back.Content != m.Content || back.Cells != m.Cells {
		t.Fatalf("%+v, %v", back, err)
	}
	m.Cells[byStemCell+1] = cell{6, 7, 8}
	if got, err = m.encode(); err != nil {
		t.Fatal(err)
	}
	golden(t, "meta_bystem.hex", got)
	if back, err = decodeMeta(got); err != nil || back.Version != byStemVersion || back.Cells != m.Cells {
		t.Fatalf("%+v, %v", back, err)
	}
}

func TestMetaOfAnotherVersionIsRefused(t *testing.T) {
	if _, err := decodeMeta([]byte(`{"version":3}`)); !errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), "version 3") {
		t.Fatal(err)
	}
}

func TestBlockRoundTrip(t *testing.T) {
	genKey := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 1, 40),
		rapid.Map(rapid.StringMatching(`(a/)?bkp_[0-9a-f]{0,9}(\.backup|\.meta\.json|\.[a-z]{1,70})?`), func(s string) []byte { return []byte(s) }),
		rapid.Map(rapid.IntRange(1, MaxPath), func(n int) []byte { return bytes.Repeat([]byte("7"), n) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfNDistinct(genKey, 1, maxBlockEntries, func(p []byte) string { return string(p) }).Draw(t, "paths")
		slices.SortFunc(paths, bytes.Compare)
		var want []Entry
		var cs cells
		for _, p := range paths {
			e := Entry{
				Path: p, Size: rapid.Int64Range(0, 1<<62).Draw(t, "size"), ModTime: genTime.Draw(t, "time"), Digest: rapid.Uint64().Draw(t, "digest"),
				Type: Type(rapid.IntRange(0, numTypes-1).Draw(t, "type")), Linked: rapid.Bool().Draw(t, "linked"),
			}
			e.ByStem = e.Linked && rapid.Bool().Draw(t, "by stem")
			cs[cellOf(&e)].count(e.Size, minuteOf(e.ModTime))
			want = append(want, e)
		}
		key, block, h := encodeBlock(want)
		if _, err := checkBlock(key, block); err != nil {
			t.Fatal(err)
		}
		got, back, err := decodeBlock(key, block)
		if err != nil || back != h || back.cells != cs {
			t.Fatalf("%v: header %+v, want %+v", err, back, h)
		}
		if !slices.EqualFunc(got, want, func(a, b Entry) bool { return equal(&a, &b) }) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		// Any other byte anywhere is noticed.
		block[rapid.IntRange(0, len(block)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := checkBlock(key, block); !errors.Is(err, errCorrupt) {
			t.Fatalf("flipped bit: %v", err)
		}
	})
}

// FuzzBlock gives the decoder blocks that no checksum guards: it returns entries or an
// error, and never too much.
func FuzzBlock(f *testing.F) {
	key, block, _ := encodeBlock(goldenEntries())
	f.Add(key, block)
	f.Add([]byte("a"), block[:20])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, key, block []byte) {
		if len(key) > MaxPath {
			return
		}
		entries, h, err := decodeBlock(key, block)
		if err != nil {
			if !errors.Is(err, errCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if len(entries) != h.count {
			t.Fatalf("%d entries, the header says %d", len(entries), h.count)
		}
		for _, e := range entries {
			if len(e.Path) == 0 || len(e.Path) > MaxPath || e.Size < 0 || e.ModTime < 0 || e.Type >= numTypes {
				t.Fatalf("bad entry %+v", e)
			}
		}
		var r reader
		if err := r.open(key, block); err != nil {
			t.Fatal(err)
		}
		var totals Totals
		all := filter{cells: allCells}
		if err := r.addRows(&totals, &all); err != nil || totals.Files != uint64(len(entries)) {
			t.Fatalf("rows: %+v, %v", totals, err)
		}
	})
}

// FuzzSummary does the same for summaries and meta, which are as little guarded.
func FuzzSummary(f *testing.F) {
	key, _, h := encodeBlock(goldenEntries())
	var s summary
	for range 20 {
		s.add(key, &h)
	}
	f.Add(s.encode(), 20)
	f.Add([]byte(`{"version":1}`), 0)
	f.Fuzz(func(t *testing.T, buf []byte, blocks int) {
		_, _ = decodeMeta(buf)
		s, err := loadSummary(buf, blocks)
		if err != nil {
			return
		}
		if !bytes.Equal(s.encode(), buf) {
			t.Fatalf("%x reads as %x", buf, s.encode())
		}
		q := filter{cells: 1, aged: true, minute: 7}
		for i := 0; i < blocks; i = s.next(i, &q) + 1 {
		}
	})
}

func TestUvarintAgreesWithTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buf := rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 0, 12),
			rapid.Map(rapid.Uint64(), func(v uint64) []byte { return binary.AppendUvarint(nil, v) }),
			rapid.SliceOfN(rapid.ByteRange(0x7f, 0x81), 0, 12),
		).Draw(t, "buf")
		want, n := binary.Uvarint(buf)
		if n <= 0 {
			want, n = 0, 0
		}
		if v, m := uvarint(buf); v != want || m != n {
			t.Fatalf("%x: %d in %d bytes, want %d in %d", buf, v, m, want, n)
		}
	})
}
