package api

import (
	"errors"
	"fmt"
	"testing"

	"firescan/catalog"
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

// BenchmarkIdentify compares tokens that this node knows with unknown ones, of an address that
// may send no more of them.
func BenchmarkIdentify(b *testing.B) {
	r := newRig(b, mem.Options{})
	r.limit(Limits{FailedLogins: 1})
	for _, c := range []struct {
		name, token string
		want        Code
	}{
		{"valid", r.tokens[catalog.RoleViewer], ""},
		{"unknown", catalog.NewToken(), CodeRateLimited},
	} {
		b.Run(c.name, func(b *testing.B) {
			_, _ = r.server.backend.identify(b.Context(), "192.0.2.1", c.token)
			b.ReportAllocs()
			for b.Loop() {
				_, err := r.server.backend.identify(b.Context(), "192.0.2.1", c.token)
				if e, _ := errors.AsType[*Error](err); c.want == "" && err != nil || c.want != "" && (e == nil || e.Code != c.want) {
					b.Fatal(err)
				}
			}
		})
	}
}
