package catalog

import (
	"fmt"
	"slices"
	"testing"

	pb "firescan/catalog/catalogpb"
)

// deltasOf shows the deltas of the test bucket as "index stems prefixes".
func deltasOf(t *testing.T, c *Catalog) []string {
	t.Helper()
	var all []string
	err := c.View(func(tx *Tx) error {
		deltas, err := tx.Deltas("s3//bucket", 0, 0)
		for _, d := range deltas {
			all = append(all, fmt.Sprintf("%d %s %q", d.Index, d.Delta.Stems, d.Delta.Prefixes))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantDeltas(t *testing.T, c *Catalog, want ...string) {
	t.Helper()
	if got := deltasOf(t, c); !slices.Equal(got, want) {
		t.Errorf("deltas %q, want %q", got, want)
	}
}

func promote(t *testing.T, c *Catalog, sync string) {
	t.Helper()
	seal(t, c, sync, "", "")
	if r := apply(t, c, &pb.PromoteSync{SyncId: sync}); r.Code != "" {
		t.Fatal(r)
	}
}

func TestDeltas(t *testing.T) {
	c := openTest(t)
	put := func(id, path string) { // an entry each
		putBackup(t, c, "o", &pb.Backup{Id: id, StorageId: "d", Size: int64(c.AppliedIndex()), StoragePath: []byte(path)})
	}
	mustPut(t, c, testDestination("o", "d"), true) // 1
	put("b", "x.backup")                           // 2
	wantDeltas(t, c)                               // nobody looks yet

	apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: "s"}) // 3
	put("b", "x.backup")                                                  // 4: links as before
	wantDeltas(t, c)
	put("b", "y.backup") // 5
	wantDeltas(t, c, `5 [x y] []`)

	promote(t, c, "s") // 6, 7: classified at 5, which knew of it
	wantDeltas(t, c)
	apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{ // 8: one delta a command
		{Kind: &pb.Record_Backup{Backup: &pb.Backup{Id: "b1", StorageId: "d", StoragePath: []byte("p/1.backup")}}},
		{Kind: &pb.Record_Backup{Backup: &pb.Backup{Id: "b2", StorageId: "d", StoragePath: []byte("p/1.meta"), Files: [][]byte{[]byte("q")}}}},
		{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: "p", StorageId: "d", Prefix: []byte("pitr/")}}},
	}})
	apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindBackup, Ids: []string{"b1", "b"}}) // 9
	wantDeltas(t, c, `8 [p/1 q] ["pitr/"]`, `9 [p/1 y] []`)

	// Another organization's records of the same bucket matter as much.
	mustPut(t, c, testDestination("o2", "d2"), true)                                         // 10
	putBackup(t, c, "o2", &pb.Backup{Id: "b", StorageId: "d2", StoragePath: []byte("z.gz")}) // 11
	wantDeltas(t, c, `8 [p/1 q] ["pitr/"]`, `9 [p/1 y] []`, `11 [z] []`)

	// The generation of one destination does not make the other's obsolete.
	apply(t, c, &pb.StartSync{Org: "o2", DestinationId: "d2", SyncId: "s2"}) // 12
	promote(t, c, "s2")
	wantDeltas(t, c, `8 [p/1 q] ["pitr/"]`, `9 [p/1 y] []`, `11 [z] []`)
	apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: "s3"})
	promote(t, c, "s3")
	wantDeltas(t, c)
}

// TestPitrPrefixesStay: a configuration keeps the files that it wrote elsewhere
// before, until it is deleted.
func TestPitrPrefixesStay(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o", "d"), true)
	elsewhere := testDestination("o", "e")
	elsewhere.Bucket = "elsewhere"
	mustPut(t, c, elsewhere, true)
	put := func(id, storage, prefix string) {
		r := apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: id, StorageId: storage, Prefix: []byte(prefix)}}}}})
		if len(r.Rejected) > 0 {
			t.Fatal(r)
		}
	}
	want := func(bucketID string, want ...string) {
		t.Helper()
		err := c.View(func(tx *Tx) error {
			got, err := tx.PitrPrefixes(bucketID, "o")
			if !slices.EqualFunc(got, want, func(a []byte, b string) bool { return string(a) == b }) {
				t.Errorf("prefixes of %s: %q, want %q", bucketID, got, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("p", "d", "b/")
	put("p", "d", "a/")
	put("p", "e", "c/")
	put("q", "d", "a/")
	want("s3//bucket", "a/", "b/")
	want("s3//elsewhere", "c/")
	apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindPitr, Ids: []string{"p"}})
	want("s3//bucket", "a/")
	want("s3//elsewhere")
}
