package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	pb "firescan/catalog/catalogpb"
)

func snapshotBytes(tb testing.TB, c *Catalog) []byte {
	tb.Helper()
	s, err := c.Snapshot()
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Release()
	var out bytes.Buffer
	n, err := s.WriteTo(&out)
	if err != nil || n != int64(out.Len()) {
		tb.Fatalf("wrote %d of %d: %v", n, out.Len(), err)
	}
	return out.Bytes()
}

func TestSnapshotRestore(t *testing.T) {
	a, b := openTest(t), openTest(t)
	if _, err := a.Apply(goldenLog(t)); err != nil {
		t.Fatal(err)
	}
	mustPut(t, b, testDestination("other", "x"), true)
	changed := b.Changed()
	if err := b.Restore(bytes.NewReader(snapshotBytes(t, a))); err != nil {
		t.Fatal(err)
	}
	<-changed
	if dump(t, a) != dump(t, b) || b.AppliedIndex() != a.AppliedIndex() {
		t.Error("the restored catalog is not the one that the snapshot was taken of")
	}
	// It goes on, and is the one that is found after a restart.
	mustPut(t, b, testDestination("o", "after"), true)
	want := dump(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := openTestAt(t, b.path)
	if dump(t, again) != want {
		t.Error("after a restart another catalog is there")
	}
}

// TestDamagedSnapshots: nothing but a whole snapshot replaces a catalog.
func TestDamagedSnapshots(t *testing.T) {
	source := openTest(t)
	if _, err := source.Apply(goldenLog(t)); err != nil {
		t.Fatal(err)
	}
	good := snapshotBytes(t, source)
	altered := func(at int, with byte) []byte {
		b := bytes.Clone(good)
		b[at] ^= with
		return b
	}
	newer := bytes.Clone(good)
	binary.BigEndian.PutUint32(newer[len(snapshotMagic):], formatVersion+1)
	for name, tc := range map[string]struct {
		stream []byte
		want   error
	}{
		"empty":         {nil, ErrDamaged},
		"header":        {good[:20], ErrDamaged},
		"no body":       {good[:snapshotHeader], ErrDamaged},
		"half":          {good[:len(good)/2], ErrDamaged},
		"no sum":        {good[:len(good)-4], ErrDamaged},
		"half a sum":    {good[:len(good)-1], ErrDamaged},
		"flipped bit":   {altered(len(good)/2, 1), ErrDamaged},
		"flipped index": {altered(len(snapshotMagic)+11, 1), ErrDamaged},
		"flipped sum":   {altered(len(good)-1, 1), ErrDamaged},
		"negative size": {altered(snapshotHeader-8, 0x80), ErrDamaged},
		"other file":    {altered(0, 1), ErrFormat},
		"newer":         {newer, ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			c := openTest(t)
			mustPut(t, c, testDestination("o", "d"), true)
			before := dump(t, c)
			if err := c.Restore(bytes.NewReader(tc.stream)); !errors.Is(err, tc.want) {
				t.Errorf("restored: %v, want %v", err, tc.want)
			}
			if dump(t, c) != before {
				t.Error("a failed restore changed the catalog")
			}
			if left, _ := filepath.Glob(c.path + restoreSuffix + "*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			mustPut(t, c, testDestination("o", "d2"), true)
		})
	}
}

func TestRestoreFailsWithItsStream(t *testing.T) {
	c := openTest(t)
	broken := errors.New("connection reset")
	good := snapshotBytes(t, c)
	err := c.Restore(io.MultiReader(bytes.NewReader(good[:snapshotHeader+100]), errReader{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// gate lets a test act in the middle of a stream.
type gate struct {
	bytes.Buffer
	once    sync.Once
	reached chan struct{}
	open    chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	n, err := g.Buffer.Write(p)
	g.once.Do(func() {
		close(g.reached)
		<-g.open
	})
	return n, err
}

// TestApplyContinuesDuringSnapshot: a slow reader of a snapshot holds up nobody,
// not even when the file grows, and what it gets is one state.
func TestApplyContinuesDuringSnapshot(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("org", "storage_1"), true)
	want := dump(t, c)
	s, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.WriteTo(g); err != nil {
			t.Error(err)
		}
	})
	<-g.reached
	order := make([]int, 30_000) // several times the 32 KiB that a mapping begins with
	for i := range order {
		order[i] = i
	}
	for _, e := range benchEntries(t, len(order), order)[1:] {
		if _, err := c.Apply([]Entry{{Index: c.AppliedIndex() + 1, Term: 1, Data: e.Data}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.View(func(tx *Tx) error { _, err := tx.Counters("org", "storage_1"); return err }); err != nil {
		t.Error(err)
	}
	close(g.open)
	wg.Wait()
	other := openTest(t)
	if err := other.Restore(&g.Buffer); err != nil {
		t.Fatal(err)
	}
	if dump(t, other) != want {
		t.Error("the snapshot holds what was applied after it began")
	}
}

// TestViewsDuringRestore: each sees one catalog, old or new, and none a closed one.
func TestViewsDuringRestore(t *testing.T) {
	source, c := openTest(t), openTest(t)
	mustPut(t, source, testDestination("o", "new"), true)
	mustPut(t, c, testDestination("o", "old"), true)
	stream := snapshotBytes(t, source)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				err := c.View(func(tx *Tx) error {
					all, err := tx.AllDestinations()
					if len(all) != 1 {
						t.Errorf("%d destinations", len(all))
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 5 {
		if err := c.Restore(bytes.NewReader(stream)); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	write := func(name string, fill func(tx *bbolt.Tx) error) string {
		path := filepath.Join(t.TempDir(), name)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(fill), db.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := write("newer", func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte(inMeta))
		return errors.Join(err, b.Put([]byte(metaFormat), []byte{0, 0, 0, formatVersion + 1}))
	})
	other := write("other", func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("something"))
		return err
	})
	for _, path := range []string{newer, other} {
		if c, err := Open(path, Options{}); !errors.Is(err, ErrFormat) {
			t.Errorf("opened %s: %v, %v", path, c, err)
		}
	}
}

func TestOpenRemovesUnfinishedRestores(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := os.WriteFile(path+restoreSuffix+"123", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	openTestAt(t, path)
	if left, _ := filepath.Glob(path + restoreSuffix + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSnapshotIsRepeatable: what is streamed depends on the state alone.
func TestSnapshotIsRepeatable(t *testing.T) {
	c := openTest(t)
	apply(t, c, &pb.PutKeyset{Keyset: []byte("k")})
	if a, b := snapshotBytes(t, c), snapshotBytes(t, c); !bytes.Equal(a, b) {
		t.Error("two snapshots of one state differ")
	}
	if !strings.HasPrefix(string(snapshotBytes(t, c)), snapshotMagic) {
		t.Error("a snapshot begins with something else")
	}
}
