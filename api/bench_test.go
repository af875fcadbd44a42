package api

import (
	"fmt"
	"testing"

	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider/mem"
)

// BenchmarkListFiles reads pages of one million files, half of them linked, without a
// network.
func BenchmarkListFiles(b *testing.B) {
	r := newRig(b, mem.Options{})
	id := r.destination()
	entries := make([]index.Entry, 1_000_000)
	put := &pb.PutRecords{Org: org}
	for i := range entries {
		entries[i] = index.Entry{
			Path: fmt.Appendf(nil, "backups/production/bkp_%07d.backup", i), Size: int64(i), ModTime: r.now.UnixMilli(), Type: index.Type(i % 5), Linked: i%2 == 0,
		}
		if i%2 == 0 && i < 10_000 {
			put.Records = append(put.Records, &pb.Record{Kind: &pb.Record_Backup{Backup: &pb.Backup{
				Org: org, Id: fmt.Sprint("bkp_", i), StorageId: id, StoragePath: entries[i].Path,
			}}})
		}
		if len(put.Records) == 1000 {
			r.propose(put)
			put = &pb.PutRecords{Org: org}
		}
	}
	r.fill(id, entries)
	for _, q := range []string{
		"limit=100", "limit=100&orphansOnly=true", "limit=100&type=pitr", "limit=100&prefix=backups/production/bkp_05", "limit=100&minAge=1h", "limit=1000",
	} {
		b.Run(q, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s, err := r.stream("/api/v1/storage/destinations/"+id+"/files?"+q, func() {}); err != nil || s.bytes < 100 {
					b.Fatal(s, err)
				}
			}
		})
	}
}
