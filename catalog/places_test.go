package catalog

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "firescan/catalog/catalogpb"
)

// need is where a backup tool has put the object of a record.
type need struct {
	dest, bucketID, key, spelling string
	createdAt                     int64
}

// TestEditsKeepProtection: whatever happens to destinations, and however often the feed sends
// its records again, an object that a record names cannot be deleted, neither as an orphan nor
// with another object's backup, and no backup is deleted with the objects of another place.
func TestEditsKeepProtection(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := openTest(t)
		buckets := []string{"alpha", "beta"}
		for _, b := range buckets {
			apply(t, c, &pb.PutDestination{Create: true, Destination: &pb.Destination{Org: "o", Id: "all-" + b, Type: TypeS3, Bucket: b}})
		}
		x := &edits{t: rt, tb: t, catalog: c, needs: map[string]need{}}
		x.create("d1")
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			ids := []string{"d1", "d2"}
			id := rapid.SampledFrom(ids).Draw(rt, "destination")
			switch d := x.known(id); rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0:
				if d == nil || d.DeletedAt != 0 {
					x.create(id)
				} else {
					apply(t, c, &pb.DeleteDestination{Org: "o", Id: id, At: 1})
				}
			case 1, 2:
				if d != nil && d.DeletedAt == 0 {
					d.Bucket, d.Path = x.place()
					apply(t, c, &pb.PutDestination{Destination: d, KeepPlace: true})
				}
			case 3, 4:
				if d != nil {
					x.write(d)
				}
			case 5: // the feed sends everything again
				for id := range x.needs {
					x.put(id)
				}
			case 6:
				for id := range x.needs {
					apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindBackup, Ids: []string{id}})
					delete(x.needs, id)
					break
				}
			}
			for _, b := range buckets {
				x.check(b)
			}
		}
	})
}

type edits struct {
	t       *rapid.T
	tb      testing.TB
	catalog *Catalog
	needs   map[string]need
	n       int
}

func (x *edits) place() (bucket, path string) {
	return rapid.SampledFrom([]string{"alpha", "beta"}).Draw(x.t, "bucket"), rapid.SampledFrom([]string{"", "old", "new", "old/er"}).Draw(x.t, "path")
}

func (x *edits) create(id string) {
	d := &pb.Destination{Org: "o", Id: id, Type: TypeS3}
	d.Bucket, d.Path = x.place()
	apply(x.tb, x.catalog, &pb.PutDestination{Create: true, Destination: d})
}

// known returns a destination or its tombstone.
func (x *edits) known(id string) (d *pb.Destination) {
	if err := x.catalog.View(func(tx *Tx) (err error) {
		d, _, err = tx.known("o", id)
		return err
	}); err != nil {
		x.t.Fatal(err)
	}
	return d
}

// write has a tool write a backup where a destination lies now.
func (x *edits) write(d *pb.Destination) {
	x.n++
	key := rapid.SampledFrom([]string{"a/", "x/y/", ""}).Draw(x.t, "folder") + rapid.SampledFrom([]string{"k.backup", "l.backup"}).Draw(x.t, "name")
	if d.Path != "" {
		key = d.Path + "/" + key
	}
	id := fmt.Sprint("b", x.n)
	x.needs[id] = need{
		dest: d.Id, bucketID: BucketID(d), key: key, createdAt: int64(x.n),
		spelling: rapid.SampledFrom(spellings(d, key)).Draw(x.t, "spelling"),
	}
	x.put(id)
}

// put stores a record, as it is resolved now.
func (x *edits) put(id string) {
	n := x.needs[id]
	b := &pb.Backup{Org: "o", Id: id, StorageId: n.dest, CreatedAt: n.createdAt, StoragePath: []byte(n.spelling)}
	if err := x.catalog.View(func(tx *Tx) error {
		all, err := tx.KnownDestinations("o")
		if err != nil {
			return err
		}
		return NewResolver(all).ResolveBackup(b)
	}); err != nil {
		x.t.Fatalf("%q: %v", n.spelling, err)
	}
	r := apply(x.tb, x.catalog, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: proto.CloneOf(b)}}}})
	if len(r.Rejected) > 0 {
		x.t.Fatalf("the record of %q was refused: %v", n.spelling, r.Rejected)
	}
}

// check tries to delete every object that a record needs.
func (x *edits) check(bucket string) {
	all := &pb.Destination{Org: "o", Id: "all-" + bucket, Type: TypeS3, Bucket: bucket}
	var paths [][]byte
	for id, n := range x.needs {
		if n.bucketID == BucketID(all) {
			paths = append(paths, []byte(n.key))
		}
		d := x.known(n.dest)
		if d == nil {
			x.t.Fatalf("destination %s of record %s is not known", n.dest, id)
		}
		if err := x.catalog.View(func(tx *Tx) error {
			b, err := tx.Backup("o", id)
			if err != nil {
				return err
			}
			if err := tx.CheckWrittenIn(d, b); err == nil && BucketID(d) != n.bucketID {
				x.t.Fatalf("record %s of %s would be deleted with files of %s", id, n.bucketID, BucketID(d))
			} else if err != nil && !errors.Is(err, ErrMoved) {
				return err
			}
			return nil
		}); err != nil {
			x.t.Fatal(err)
		}
	}
	if len(paths) == 0 {
		return
	}
	x.n++
	r := apply(x.tb, x.catalog, &pb.BeginDelete{Org: "o", DestinationId: all.Id, Id: fmt.Sprint("del", x.n), Node: "n/1", At: 1, Revision: 1, Paths: paths})
	if len(r.Rejected) != len(paths) {
		x.t.Fatalf("of %q in %s only %v were refused; records %+v", paths, bucket, r.Rejected, x.needs)
	}
}
