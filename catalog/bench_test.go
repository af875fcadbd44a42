package catalog

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

const (
	benchRecords = 1_000_000
	benchCommand = 1_000 // records
)

// benchEntries encodes the import of n backup records.
func benchEntries(tb testing.TB, n int, order []int) []Entry {
	tb.Helper()
	entries := []Entry{{Index: 1, Term: 1, Data: mustEncode(tb, &pb.PutDestination{Create: true, Destination: testDestination("org", "storage_1")})}}
	for at := 0; at < n; at += benchCommand {
		m := &pb.PutRecords{Org: "org"}
		for _, i := range order[at:min(n, at+benchCommand)] {
			m.Records = append(m.Records, &pb.Record{Kind: &pb.Record_Backup{Backup: &pb.Backup{
				Id: fmt.Sprintf("bkp_%09d", i), StorageId: "storage_1", ProjectId: "proj_1", Status: "completed", Size: int64(i),
				Collections: []string{"users", "orders"}, CreatedAt: 1_700_000_000_000 + int64(i),
				StoragePath: fmt.Appendf(nil, "backups/production/bkp_%09d.backup", i),
			}}})
		}
		entries = append(entries, Entry{Index: uint64(len(entries) + 1), Term: 1, Data: mustEncode(tb, m)})
	}
	return entries
}

func mustEncode(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	data, err := Encode(m)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// BenchmarkImport applies a million backup records. Run with -benchtime 1x.
func BenchmarkImport(b *testing.B) {
	ordered := make([]int, benchRecords)
	for i := range ordered {
		ordered[i] = i
	}
	for name, order := range map[string][]int{
		"ordered": ordered, "random": rand.New(rand.NewPCG(1, 2)).Perm(benchRecords),
	} {
		entries := benchEntries(b, benchRecords, order)
		for _, batch := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, batch), func(b *testing.B) {
				for b.Loop() {
					c := openTest(b)
					for at := 0; at < len(entries); at += batch {
						if _, err := c.Apply(entries[at:min(len(entries), at+batch)]); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.N)*benchRecords/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// BenchmarkDelete begins and finishes the deletion of a thousand orphans of a bucket with
// many records, while its index is kept up to date; one operation is both.
func BenchmarkDelete(b *testing.B) {
	const records = 300_000
	order := make([]int, records)
	for i := range order {
		order[i] = i
	}
	c := openTest(b)
	entries := benchEntries(b, records, order)
	index := uint64(len(entries))
	entries = append(entries, Entry{Index: index + 1, Data: mustEncode(b, &pb.StartSync{Org: "org", DestinationId: "storage_1", SyncId: "sync_1"})})
	if _, err := c.Apply(entries); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		begin := &pb.BeginDelete{Org: "org", DestinationId: "storage_1", Id: fmt.Sprintf("del_%09d", i), Revision: 1}
		finish := &pb.FinishDelete{Org: "org", Id: begin.Id}
		for n := range MaxDeletes {
			path := fmt.Appendf(nil, "backups/production/bkp_%09d-%d.backup", n*records/MaxDeletes, i)
			begin.Paths = append(begin.Paths, path)
			finish.Outcomes = append(finish.Outcomes, &pb.Outcome{Path: path, Deleted: true, Size: 1 << 20})
		}
		for _, m := range []proto.Message{begin, finish} {
			if r := apply(b, c, m); r.Code != "" || len(r.Rejected) > 0 {
				b.Fatal(r)
			}
		}
	}
}

// BenchmarkLinks walks the links of a bucket; one operation is one link.
func BenchmarkLinks(b *testing.B) {
	const records = 100_000
	order := make([]int, records)
	for i := range order {
		order[i] = i
	}
	c := openTest(b)
	if _, err := c.Apply(benchEntries(b, records, order)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	err := c.View(func(tx *Tx) error {
		links := tx.Links(BucketID(testDestination("org", "storage_1")))
		_, ok := links.Seek(nil)
		for b.Loop() {
			if !ok {
				_, _ = links.Seek(nil)
			}
			_, ok = links.Next()
		}
		return links.Err()
	})
	if err != nil {
		b.Fatal(err)
	}
}
