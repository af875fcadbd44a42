package catalog

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

var (
	genOrg     = rapid.SampledFrom([]string{"org1", "org2"})
	genDest    = rapid.SampledFrom([]string{"d1", "d2", "d3"})
	genID      = rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	genSync    = rapid.SampledFrom([]string{"s1", "s2", "s3", "s4", "s5", "s6"})
	genObject  = rapid.SampledFrom([]string{"p/x.backup", "p/x.meta", "p/x", "p/x-1.backup", "q/y.z.gz", "q/\x00.backup", "q/\x00\x01", ".", "é/ü.auth"})
	genBound   = rapid.SampledFrom([]string{"", "p/", "p/m", "p0", "q/"})
	genInt     = rapid.Int64Range(0, 50)
	genStorage = rapid.Custom(func(t *rapid.T) *pb.Destination {
		return &pb.Destination{
			Org: genOrg.Draw(t, "org"), Id: genDest.Draw(t, "id"), Name: "n",
			Type:   rapid.SampledFrom([]string{TypeS3, TypeGCS, TypeFirebase, TypeSpaces}).Draw(t, "type"),
			Bucket: "bucket", Path: rapid.SampledFrom([]string{"", "p"}).Draw(t, "path"),
			Sealed:    map[string][]byte{"k": []byte(genID.Draw(t, "sealed")), "l": {1}},
			CreatedAt: genInt.Draw(t, "created"), UpdatedAt: genInt.Draw(t, "updated"),
		}
	})
	genRecord = rapid.Custom(func(t *rapid.T) *pb.Record {
		id, storage := genID.Draw(t, "id"), genDest.Draw(t, "storage")
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			return &pb.Record{Kind: &pb.Record_Project{Project: &pb.Project{Id: id, Name: "n"}}}
		case 1:
			return &pb.Record{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Id: id, StorageId: storage, Enabled: true}}}
		case 2:
			prefix := rapid.SampledFrom([]string{"p/", "pitr/", "pitr\x00", ""}).Draw(t, "prefix")
			return &pb.Record{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: id, StorageId: storage, Prefix: []byte(prefix)}}}
		}
		b := &pb.Backup{Id: id, StorageId: storage, Status: "completed", Size: genInt.Draw(t, "size") - 2}
		if rapid.Bool().Draw(t, "has path") {
			b.StoragePath = []byte(genObject.Draw(t, "path"))
		}
		for _, f := range rapid.SliceOfN(genObject, 0, 3).Draw(t, "files") {
			b.Files = append(b.Files, []byte(f))
		}
		return &pb.Record{Kind: &pb.Record_Backup{Backup: b}}
	})
)

// genCommand draws a command; m tells what would make sense now, so that the
// rare orders (seal, seal, promote) are not left to luck.
func genCommand(t *rapid.T, m *model) proto.Message {
	org := genOrg.Draw(t, "org")
	switch rapid.IntRange(0, 15).Draw(t, "command") {
	case 0, 1:
		return &pb.PutDestination{Destination: genStorage.Draw(t, "destination"), Create: rapid.Bool().Draw(t, "create")}
	case 2:
		return &pb.DeleteDestination{Org: org, Id: genDest.Draw(t, "id")}
	case 3:
		return &pb.SetVerified{Org: org, Id: genDest.Draw(t, "id"), Verified: true, At: 7, Revision: rapid.Uint64Range(1, 2).Draw(t, "revision")}
	case 4:
		kind := rapid.SampledFrom([]string{KindProject, KindBackup, KindBackup, KindSchedule, KindPitr}).Draw(t, "kind")
		return &pb.DeleteRecords{Org: org, Kind: kind, Ids: rapid.SliceOfN(genID, 1, 3).Draw(t, "ids")}
	case 5:
		return &pb.PutToken{Token: &pb.Token{Id: genID.Draw(t, "id"), Org: org, Role: string(RoleAdmin), Hash: HashToken(genID.Draw(t, "token"))}}
	case 6:
		return &pb.DeleteToken{Id: genID.Draw(t, "id")}
	case 7:
		m := &pb.PutKeyset{Keyset: []byte(genID.Draw(t, "keyset"))}
		if rapid.Bool().Draw(t, "replaces") {
			m.Replaces = []byte(genID.Draw(t, "old"))
		}
		return m
	case 8:
		return &pb.StartSync{Org: org, DestinationId: genDest.Draw(t, "destination"), SyncId: genSync.Draw(t, "sync"), At: genInt.Draw(t, "at")}
	case 9:
		return &pb.FinishSync{SyncId: genSync.Draw(t, "sync"), Status: SyncFailed, Error: "why", At: genInt.Draw(t, "at")}
	case 10, 11:
		return genSeal(t, m)
	case 12:
		return &pb.PromoteSync{SyncId: genAnySync(t, m), At: genInt.Draw(t, "at")}
	}
	return &pb.PutRecords{Org: org, Records: rapid.SliceOfN(genRecord, 1, 6).Draw(t, "records")}
}

// genAnySync mostly draws a running sync.
func genAnySync(t *rapid.T, m *model) string {
	var running []string
	for _, id := range slices.Sorted(maps.Keys(m.syncs)) {
		if m.syncs[id].Status == SyncRunning {
			running = append(running, id)
		}
	}
	if len(running) == 0 {
		return genSync.Draw(t, "sync")
	}
	return rapid.SampledFrom(running).Draw(t, "running sync")
}

// genSeal draws segments: any, or the ones that complete the sync.
func genSeal(t *rapid.T, m *model) *pb.SealSegments {
	c := &pb.SealSegments{SyncId: genAnySync(t, m)}
	s := m.syncs[c.SyncId]
	segment := func(start, end string) {
		c.Segments = append(c.Segments, &pb.Segment{
			Id: fmt.Sprintf("g%q", start), Start: []byte(start), End: []byte(end), Files: 3, Bytes: uint64(genInt.Draw(t, "bytes")), Orphans: 1, Missing: 2,
			ClassifiedAt: rapid.Uint64Range(m.index-min(m.index, 3), m.index).Draw(t, "classified"), Checksum: 9, Node: "n",
		})
	}
	if s == nil || rapid.Bool().Draw(t, "any") {
		for range rapid.IntRange(1, 2).Draw(t, "segments") {
			segment(genBound.Draw(t, "start"), genBound.Draw(t, "end"))
		}
		return c
	}
	middle := string(s.Start) + "m"
	segment(string(s.Start), middle)
	segment(middle, string(s.End))
	return c
}

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
	stem     string
	prefix   bool // stem is a prefix of a PITR configuration
}

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
	var want []string
	var rejected []int
	for range rapid.IntRange(1, 3).Draw(t, "batch") {
		m := genCommand(t, x.model)
		links, prefixes := x.model.links(), x.model.prefixes()
		code, n := x.model.apply(m)
		x.note(links, x.model.links(), false)
		x.note(prefixes, x.model.prefixes(), true)
		want, rejected = append(want, code), append(rejected, n)
		data, err := Encode(m)
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
		if r.Code != want[i] || len(r.Rejected) != rejected[i] {
			t.Fatalf("entry %d: %v, want code %q and %d rejected", entries[i].Index, r, want[i], rejected[i])
		}
	}
}

// note keeps what differs between two states.
func (x *machine) note(before, after map[string]set, prefix bool) {
	for _, sides := range [][2]map[string]set{{before, after}, {after, before}} {
		for bucketID, all := range sides[0] {
			for k := range all {
				if sides[1][bucketID][k] {
					continue
				}
				if !prefix {
					k, _, _ = strings.Cut(k, "|")
				}
				x.changes = append(x.changes, change{x.model.index, bucketID, k, prefix})
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
