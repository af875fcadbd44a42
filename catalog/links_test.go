package catalog

import (
	"maps"
	"slices"
	"testing"

	pb "firescan/catalog/catalogpb"
)

func putBackup(tb testing.TB, c *Catalog, org string, b *pb.Backup) {
	tb.Helper()
	r := apply(tb, c, &pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
	if len(r.Rejected) > 0 {
		tb.Fatal(r.Rejected)
	}
}

func mustPut(tb testing.TB, c *Catalog, d *pb.Destination, create bool) {
	tb.Helper()
	if r := apply(tb, c, &pb.PutDestination{Destination: d, Create: create}); r.Code != "" {
		tb.Fatal(r)
	}
}

// linkedPaths lists who links what in a bucket, as "org id path".
func linkedPaths(tb testing.TB, c *Catalog, bucketID string) []string {
	tb.Helper()
	all := set{}
	err := c.View(func(tx *Tx) error {
		links := tx.Links(bucketID)
		for l, ok := links.Seek(nil); ok; l, ok = links.Next() {
			all[string(l.Org)+" "+string(l.BackupID)+" "+string(l.Path)] = true
		}
		return links.Err()
	})
	if err != nil {
		tb.Fatal(err)
	}
	return slices.Sorted(maps.Keys(all))
}

func wantLinks(tb testing.TB, c *Catalog, bucketID string, want ...string) {
	tb.Helper()
	if got := linkedPaths(tb, c, bucketID); !slices.Equal(got, want) {
		tb.Errorf("links of %s: %q, want %q", bucketID, got, want)
	}
}

func TestRecordInProgressLinks(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o", "d"), true)
	for _, status := range []string{"in_progress", "failed", ""} {
		putBackup(t, c, "o", &pb.Backup{Id: "b", StorageId: "d", Status: status, StoragePath: []byte("x.backup"), Files: [][]byte{[]byte("y")}})
		wantLinks(t, c, "s3//bucket", "o b x.backup", "o b y")
	}
	apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindBackup, Ids: []string{"b"}})
	wantLinks(t, c, "s3//bucket")
}

func TestOrganizationsShareABucket(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o1", "d1"), true)
	mustPut(t, c, testDestination("o2", "d2"), true)
	putBackup(t, c, "o1", &pb.Backup{Id: "b", StorageId: "d1", StoragePath: []byte("x.backup")})
	putBackup(t, c, "o2", &pb.Backup{Id: "b", StorageId: "d2", StoragePath: []byte("x.backup")})
	wantLinks(t, c, "s3//bucket", "o1 b x.backup", "o2 b x.backup")

	apply(t, c, &pb.DeleteRecords{Org: "o1", Kind: KindBackup, Ids: []string{"b"}})
	wantLinks(t, c, "s3//bucket", "o2 b x.backup")
}

func TestNamespacesOfLinks(t *testing.T) {
	c := openTest(t)
	for id, d := range map[string]*pb.Destination{
		"gcs":      {Type: TypeGCS},
		"firebase": {Type: TypeFirebase},
		"aws":      {Type: TypeS3},
		"minio":    {Type: TypeS3, Endpoint: "http://minio:9000"},
		"nyc3":     {Type: TypeSpaces, Region: "nyc3"},
		"ams3":     {Type: TypeSpaces, Region: "ams3"},
	} {
		d.Org, d.Id, d.Bucket = "o", id, "bucket"
		mustPut(t, c, d, true)
		putBackup(t, c, "o", &pb.Backup{Id: "in-" + id, StorageId: id, StoragePath: []byte("x")})
	}
	wantLinks(t, c, "gcs//bucket", "o in-firebase x", "o in-gcs x")
	wantLinks(t, c, "s3//bucket", "o in-aws x")
	wantLinks(t, c, "s3/minio:9000/bucket", "o in-minio x")
	wantLinks(t, c, "do-spaces/nyc3/bucket", "o in-nyc3 x")
	wantLinks(t, c, "do-spaces/ams3/bucket", "o in-ams3 x")
}

// TestLinksOutliveDestinations: files stay needed where they were, whatever is
// done to the destination, until their record goes.
func TestLinksOutliveDestinations(t *testing.T) {
	c := openTest(t)
	d := testDestination("o", "d")
	mustPut(t, c, d, true)
	putBackup(t, c, "o", &pb.Backup{Id: "b1", StorageId: "d", StoragePath: []byte("x")})
	d.Bucket = "elsewhere"
	mustPut(t, c, d, false)
	putBackup(t, c, "o", &pb.Backup{Id: "b2", StorageId: "d", StoragePath: []byte("y")})
	wantLinks(t, c, "s3//bucket", "o b1 x", "o b2 y")
	wantLinks(t, c, "s3//elsewhere", "o b1 x", "o b2 y")

	if r := apply(t, c, &pb.DeleteDestination{Org: "o", Id: "d"}); r.Code != "" {
		t.Fatal(r)
	}
	wantLinks(t, c, "s3//elsewhere", "o b1 x", "o b2 y")
	r := apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: &pb.Backup{Id: "b3", StorageId: "d"}}}}})
	if len(r.Rejected) != 1 || r.Rejected[0].Code != CodeNotFound {
		t.Errorf("a record of a deleted destination: %v", r)
	}

	apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindBackup, Ids: []string{"b1"}})
	wantLinks(t, c, "s3//bucket", "o b2 y")
	apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindBackup, Ids: []string{"b2"}})
	wantLinks(t, c, "s3//bucket")
	wantLinks(t, c, "s3//elsewhere")
}

func TestOwner(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o1", "d1"), true)
	mustPut(t, c, testDestination("o2", "d2"), true)
	putBackup(t, c, "o1", &pb.Backup{Id: "b1", StorageId: "d1", ProjectId: "p1", StoragePath: []byte("p/x.backup")})
	putBackup(t, c, "o1", &pb.Backup{Id: "b2", StorageId: "d1", Files: [][]byte{[]byte("p/x.meta"), []byte("p/z")}})
	putBackup(t, c, "o2", &pb.Backup{Id: "b3", StorageId: "d2", StoragePath: []byte("p/y.backup")})
	err := c.View(func(tx *Tx) error {
		for path, want := range map[string]string{
			"p/x.backup": "b1", "p/x.auth": "b1", "p/x": "b1", "p/x.meta": "b2", "p/z": "b2",
			"p/z.meta": "", "p/y.backup": "", "p/": "", "q": "",
		} {
			b, ok, err := tx.Owner("s3//bucket", "o1", []byte(path))
			if err != nil {
				return err
			}
			if b.BackupID != want || ok != (want != "") || ok && b.ProjectID != map[string]string{"b1": "p1"}[want] {
				t.Errorf("%s belongs to %q, want %q", path, b, want)
			}
		}
		if _, ok, err := tx.Owner("s3//nothing", "o1", []byte("p/x")); ok || err != nil {
			t.Errorf("a bucket without links: %v %v", ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinkCursorAllocatesNothing holds the promise that the scan relies on.
func TestLinkCursorAllocatesNothing(t *testing.T) {
	c := openTest(t)
	order := make([]int, 20_000)
	for i := range order {
		order[i] = i
	}
	if _, err := c.Apply(benchEntries(t, len(order), order)); err != nil {
		t.Fatal(err)
	}
	err := c.View(func(tx *Tx) error {
		links := tx.Links("s3//bucket")
		if _, ok := links.Seek(nil); !ok {
			t.Fatal("no links")
		}
		if n := testing.AllocsPerRun(10_000, func() { links.Next() }); n != 0 {
			t.Errorf("a step allocates %v times", n)
		}
		return links.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}
