package catalog

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

// authorityWorld is one bucket that three organizations have destinations for: a has proven
// access from the start, b does at some time, and c never.
type authorityWorld struct {
	full, without *Catalog // without has seen nothing of c
	records       map[string]*pb.Backup
	pitrs         map[string]string
	proven        bool // b
	intents       int
}

var authorityKeys = []string{"p/x.backup", "p/x.meta", "p/y.backup", "q/z.backup", "q/r/s.auth", "q/r/t", "ww"}

// run applies a command to both catalogs; both must give the same result, unless it is of c.
func (w *authorityWorld) run(t *rapid.T, org string, m proto.Message) *pb.Result {
	t.Helper()
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	one := func(c *Catalog) *pb.Result {
		results, err := c.Apply([]Entry{{Index: c.AppliedIndex() + 1, Term: 1, Data: data}})
		if err != nil {
			t.Fatal(err)
		}
		return results[0]
	}
	got := one(w.full)
	if org == "c" {
		return got
	}
	if want := one(w.without); !proto.Equal(got, want) {
		t.Fatalf("%T of %s: %v, without c %v", m, org, got, want)
	}
	return got
}

// needs reports whether a record or configuration that counts for a needs a key.
func (w *authorityWorld) needs(key string) bool {
	for id, b := range w.records {
		if (strings.HasPrefix(id, "a") || strings.HasPrefix(id, "b") && w.proven) && links(b, key) {
			return true
		}
	}
	for id, prefix := range w.pitrs {
		if (strings.HasPrefix(id, "a") || strings.HasPrefix(id, "b") && w.proven) && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

func (w *authorityWorld) step(t *rapid.T) {
	org := rapid.SampledFrom([]string{"a", "b", "b", "c", "c"}).Draw(t, "org")
	id := org + rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "id")
	key := rapid.SampledFrom(authorityKeys).Draw(t, "key")
	switch rapid.IntRange(0, 9).Draw(t, "command") {
	case 0:
		w.run(t, org, &pb.DeleteRecords{Org: org, Kind: KindBackup, Ids: []string{id}})
		delete(w.records, id)
	case 1, 8:
		p := &pb.Pitr{Id: id, StorageId: "d" + org, Prefix: []byte(key[:2])}
		if r := w.run(t, org, &pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: p}}}}); len(r.Rejected) == 0 && w.pitrs[id] == "" {
			w.pitrs[id] = key[:2]
		} else if len(r.Rejected) == 0 && w.pitrs[id] != key[:2] {
			w.run(t, org, &pb.DeleteRecords{Org: org, Kind: KindPitr, Ids: []string{id}}) // it would keep both prefixes
			delete(w.pitrs, id)
		}
	case 2:
		if org == "b" {
			d := authorityDestination("b")
			w.run(t, org, &pb.ProveAccess{Org: "b", Id: d.Id, Revision: 1, Credentials: CredentialsDigest(d), At: 1})
			w.proven = true
		}
	case 3:
		w.run(t, org, &pb.SetVerified{Org: org, Id: "d" + org, Verified: true, Revision: 1})
	case 4, 9:
		w.intents++
		begin := &pb.BeginDelete{Org: org, DestinationId: "d" + org, Id: fmt.Sprint("i", w.intents), Node: "n", At: 2, Revision: 1, Paths: [][]byte{[]byte(key)}}
		r := w.run(t, org, begin)
		switch {
		case org != "a" && (org == "c" || !w.proven):
			if r.Code != CodeConflict {
				t.Fatalf("%s marks files without a proof: %v", org, r)
			}
		case org == "a":
			if needed := w.needs(key); (len(r.Rejected) > 0) != needed {
				t.Fatalf("deleting %q: %v, needed %t by %v and %v", key, r, needed, w.records, w.pitrs)
			}
		}
		if r.Code == "" && len(r.Rejected) == 0 {
			w.whileMarked(t, key)
			w.run(t, org, &pb.FinishDelete{Org: org, Id: begin.Id, At: 2})
		}
	default:
		b := &pb.Backup{Id: id, StorageId: "d" + org, StoragePath: []byte(key)}
		if rapid.Bool().Draw(t, "files only") {
			b.StoragePath, b.Files = nil, [][]byte{[]byte(key)}
		}
		r := w.run(t, org, &pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: proto.CloneOf(b)}}}})
		if r.Code != "" || len(r.Rejected) > 0 {
			t.Fatalf("a record of %s: %v", org, r)
		}
		w.records[id] = b
	}
}

// whileMarked checks that the mark of a key blocks whoever may affect its owner, and nobody
// else.
func (w *authorityWorld) whileMarked(t *rapid.T, key string) {
	for org, blocked := range map[string]bool{"a": true, "b": w.proven, "c": false} {
		b := &pb.Backup{Id: org + "0", StorageId: "d" + org, StoragePath: []byte(key)}
		p := &pb.Pitr{Id: org + "0", StorageId: "d" + org, Prefix: []byte(key)}
		for _, record := range []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}, {Kind: &pb.Record_Pitr{Pitr: p}}} {
			r := w.run(t, org, &pb.PutRecords{Org: org, Records: []*pb.Record{record}})
			if (len(r.Rejected) == 1) != blocked {
				t.Fatalf("%q is being deleted; a record of %s: %v", key, org, r)
			}
		}
		for _, kind := range []string{KindBackup, KindPitr} {
			w.run(t, org, &pb.DeleteRecords{Org: org, Kind: kind, Ids: []string{org + "0"}})
		}
	}
}

func authorityDestination(org string) *pb.Destination {
	return testDestination(org, "d"+org)
}

// view lists what protects files from a.
func (w *authorityWorld) view(t *rapid.T, c *Catalog) string {
	var out bytes.Buffer
	if err := c.View(func(tx *Tx) error {
		bucketID := BucketID(authorityDestination("a"))
		cur := tx.LinksFor(bucketID, "a")
		for l, ok := cur.Seek(nil); ok; l, ok = cur.Next() {
			fmt.Fprintf(&out, "%q %d %s %s\n", l.Path, l.Kind, l.Org, l.BackupID)
		}
		prefixes, err := tx.PitrPrefixes(bucketID, "a")
		fmt.Fprintf(&out, "%q %v", prefixes, cur.Err())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestAuthority: records of an organization always protect its files from itself, those of
// others once they have listed the bucket, and whoever never has changes no answer.
func TestAuthority(t *testing.T) {
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		open := func(name string) *Catalog {
			c, err := Open(filepath.Join(base, fmt.Sprint(runs, name)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			c.db.NoSync = true
			return c
		}
		w := &authorityWorld{full: open("full"), without: open("without"), records: map[string]*pb.Backup{}, pitrs: map[string]string{}}
		defer func() { _, _ = w.full.Close(), w.without.Close() }()
		for _, org := range []string{"a", "b", "c"} {
			w.run(t, org, &pb.PutDestination{Create: true, Destination: authorityDestination(org)})
		}
		d := authorityDestination("a")
		w.run(t, "a", &pb.ProveAccess{Org: "a", Id: d.Id, Revision: 1, Credentials: CredentialsDigest(d), At: 1})
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			w.step(t)
		}
		if got, want := w.view(t, w.full), w.view(t, w.without); got != want {
			t.Fatalf("a sees\n%s\nwithout c\n%s", got, want)
		}
	})
}

// TestProofsAreRecent: a mark needs a proof of the present credentials that is not old, and
// protection does not.
func TestProofsAreRecent(t *testing.T) {
	c := openTest(t)
	d := testDestination("o", "d")
	d.Sealed = map[string][]byte{"k": {1}}
	mustPut(t, c, d, true)
	mustPut(t, c, testDestination("p", "e"), true)
	putBackup(t, c, "o", &pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("needed")})
	mustProve(t, c, "p", "e", 1)
	ids := 0
	begin := func(org, dest, path string, at int64) *pb.Result {
		ids++
		m := &pb.BeginDelete{Org: org, DestinationId: dest, Id: fmt.Sprint("i", ids), Node: "n", At: at, Revision: 1, Paths: [][]byte{[]byte(path)}}
		r := apply(t, c, m)
		if r.Code == "" {
			apply(t, c, &pb.FinishDelete{Org: org, Id: m.Id, At: at})
		}
		return r
	}
	day := MaxProofAge.Milliseconds()
	if r := begin("o", "d", "x", 1); r.Code != CodeConflict {
		t.Errorf("without a proof: %v", r)
	}
	mustProve(t, c, "o", "d", 1)
	if r := begin("o", "d", "x", day); r.Code != "" {
		t.Errorf("with a recent one: %v", r)
	}
	if r := begin("o", "d", "x", day+1); r.Code != CodeConflict {
		t.Errorf("with an old one: %v", r)
	}
	d.Sealed = map[string][]byte{"k": {2}}
	mustPut(t, c, d, false)
	if r := begin("o", "d", "x", 2); r.Code != CodeConflict {
		t.Errorf("with one of other credentials: %v", r)
	}
	if r := begin("p", "e", "needed", 2); len(r.Rejected) != 1 {
		t.Errorf("a file of an organization that had access: %v", r)
	}
	apply(t, c, &pb.DeleteDestination{Org: "o", Id: "d"})
	if r := begin("p", "e", "needed", 2); len(r.Rejected) != 1 {
		t.Errorf("after the destination is gone: %v", r)
	}
}

// TestProofReclassifies: when links of an organization begin to count, the shards of others
// learn it.
func TestProofReclassifies(t *testing.T) {
	c := openTest(t)
	for _, id := range []string{"o1", "o2", "p"} {
		mustPut(t, c, testDestination(id[:1], id), true)
	}
	mustProve(t, c, "o", "o1", 1)
	apply(t, c, &pb.StartSync{Org: "o", DestinationId: "o1", SyncId: "s"})
	deltas := func() (n int) {
		t.Helper()
		if err := c.View(func(tx *Tx) error {
			all, err := tx.Deltas(BucketID(testDestination("o", "o1")), 0, 0)
			n = len(all)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, step := range []struct {
		org, id string
		want    int
	}{{"o", "o2", 0}, {"p", "p", 1}, {"p", "p", 1}, {"o", "o1", 1}} {
		mustProve(t, c, step.org, step.id, 2)
		if got := deltas(); got != step.want {
			t.Errorf("after a proof of %s: %d deltas, want %d", step.id, got, step.want)
		}
	}
}
