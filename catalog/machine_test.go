package catalog

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

// TestMachine applies random commands to the catalog and to the model and
// compares all that can be read, across restarts, snapshots and repeated entries.
func TestMachine(t *testing.T) {
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(base, strconv.Itoa(runs))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		x := &machine{model: newModel(), path: filepath.Join(dir, "1.db")}
		x.open(t)
		defer func() { _ = x.catalog.Close() }()

		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 14).Draw(t, "step") {
			case 0:
				x.restart(t)
			case 1:
				x.throughSnapshot(t, dir)
			case 2:
				if results, err := x.catalog.Apply(x.log); err != nil || len(results) != len(x.log) {
					t.Fatalf("repeated entries: %d results, %v", len(results), err)
				}
			default:
				x.step(t)
			}
			x.compare(t)
		}
		x.otherSplit(t, filepath.Join(dir, "split.db"))
	})
}

// machine is a catalog with the model that it must equal.
type machine struct {
	model   *model
	catalog *Catalog
	path    string
	log     []Entry
	changes []change
}

// change is what one command made different for the files of a bucket.
type change struct {
	index    uint64
	bucketID string
	what     string
	kind     changeKind
}

type changeKind int

const (
	ofStem    changeKind = iota // its links
	ofPrefix                    // a PITR configuration writes there, or no longer
	ofDeleted                   // the file is gone
)

func (x *machine) open(t *rapid.T) {
	c, err := Open(x.path, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c.db.NoSync = true // nobody cuts the power of a test
	x.catalog = c
}

func (x *machine) restart(t *rapid.T) {
	if err := x.catalog.Close(); err != nil {
		t.Fatal(err)
	}
	x.open(t)
}

// throughSnapshot goes on in a catalog that held something else before.
func (x *machine) throughSnapshot(t *rapid.T, dir string) {
	s, err := x.catalog.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	if _, err := s.WriteTo(&stream); err != nil {
		t.Fatal(err)
	}
	if s.Index != x.catalog.AppliedIndex() {
		t.Fatalf("snapshot at %d of %d", s.Index, x.catalog.AppliedIndex())
	}
	if err := x.catalog.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(dir, "*.db")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	x.path = f.Name()
	x.open(t)
	data, err := Encode(&pb.PutDestination{Create: true, Destination: &pb.Destination{Org: "other", Id: "x", Type: TypeS3, Bucket: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.catalog.Apply([]Entry{{Index: 1, Term: 1, Data: data}}); err != nil {
		t.Fatal(err)
	}
	if err := x.catalog.Restore(&stream); err != nil {
		t.Fatal(err)
	}
	x.catalog.db.NoSync = true
}

func (x *machine) step(t *rapid.T) {
	var entries []Entry
	var want []*pb.Result
	for range rapid.IntRange(1, 3).Draw(t, "batch") {
		m, once := genCommand(t, x.model), genOnce(t)
		links, prefixes, audits := x.model.links(), x.model.prefixes(), maps.Clone(x.model.audits)
		want = append(want, x.model.applyOnce(m, once))
		x.note(links, x.model.links(), ofStem)
		x.note(prefixes, x.model.prefixes(), ofPrefix)
		x.noteDeleted(audits)
		data, err := EncodeOnce(m, once)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, Entry{Index: x.model.index, Term: 3, Data: data})
	}
	x.log = append(x.log, entries...)
	results, err := x.catalog.Apply(entries)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !proto.Equal(plain(t, r), want[i]) {
			t.Fatalf("entry %d: %v, want %v", entries[i].Index, r, want[i])
		}
	}
}

// plain is a result without its messages, which only people read.
func plain(t *rapid.T, r *pb.Result) *pb.Result {
	for _, x := range r.GetRejected() {
		if x.GetMessage() == "" {
			t.Fatalf("rejected without a reason: %v", r)
		}
	}
	r = proto.CloneOf(r)
	r.Message, r.Rejected = "", withoutMessages(r.GetRejected())
	return r
}

// noteDeleted keeps what a deletion that has ended since says to be gone.
func (x *machine) noteDeleted(before map[owned]*pb.Audit) {
	for who, a := range x.model.audits {
		if before[who] != nil {
			continue
		}
		for _, o := range a.Outcomes {
			if o.Deleted {
				x.changes = append(x.changes, change{x.model.index, a.BucketId, string(o.Path), ofDeleted})
			}
		}
	}
}

// note keeps what differs between two states.
func (x *machine) note(before, after map[string]set, kind changeKind) {
	for _, sides := range [][2]map[string]set{{before, after}, {after, before}} {
		for bucketID, all := range sides[0] {
			for k := range all {
				if sides[1][bucketID][k] {
					continue
				}
				if kind == ofStem {
					k, _, _ = strings.Cut(k, "|")
				}
				x.changes = append(x.changes, change{x.model.index, bucketID, k, kind})
			}
		}
	}
}

// otherSplit applies the whole log in other batches: every byte must be the same.
func (x *machine) otherSplit(t *rapid.T, path string) {
	c, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	c.db.NoSync = true
	for rest := x.log; len(rest) > 0; {
		n := rapid.IntRange(1, len(rest)).Draw(t, "split")
		if _, err := c.Apply(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if a, b := dump(t, x.catalog), dump(t, c); len(x.log) > 0 && a != b {
		t.Fatalf("another split of the log gave another state:\n%s\n%s", a, b)
	}
}

type fataler interface {
	Fatal(args ...any)
}

// dump writes out all that a catalog's file holds.
func dump(t fataler, c *Catalog) string {
	var out strings.Builder
	var walk func(indent string, b *bbolt.Bucket)
	walk = func(indent string, b *bbolt.Bucket) {
		_ = b.ForEach(func(k, v []byte) error {
			if v == nil {
				fmt.Fprintf(&out, "%s%q\n", indent, k)
				walk(indent+"  ", b.Bucket(k))
				return nil
			}
			fmt.Fprintf(&out, "%s%q: %s\n", indent, k, hex.EncodeToString(v))
			return nil
		})
	}
	err := c.View(func(tx *Tx) error {
		return tx.tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			fmt.Fprintf(&out, "%s\n", name)
			walk("  ", b)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
