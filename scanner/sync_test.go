package scanner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
)

// production returns the keys of n backups of three files each, and their paths.
func production(n int) (keys, paths []string) {
	for i := range n {
		stem := fmt.Sprintf("backups/%02x/bkp_%08x", i%7, i*2654435761%(1<<32))
		keys = append(keys, stem+".backup", stem+".meta", stem+".auth")
		paths = append(paths, stem+".backup")
	}
	return keys, paths
}

func TestSyncFindsOrphansAndMissing(t *testing.T) {
	r := newRig(t, mem.Options{})
	keys, paths := production(3000)
	r.account.Fill(bucket, 10, time.Unix(1e9, 0), keys...)
	r.account.Fill(bucket, 0, time.Unix(1e9, 0), "backups/", "backups/00/")
	r.account.Fill(bucket, 5, time.Unix(1e9, 0), "stray.backup", "zz/ä b+c%20&\"'.meta")
	for batch := range slices.Chunk(paths[1:], 500) {
		r.backups(batch...)
	}
	r.backups("backups/gone.backup", "zzz/gone.backup")
	r.start()
	s := r.sync()
	if s.Status != "completed" || s.FilesScanned != uint64(len(keys)+2) || s.OrphanFiles != 5 || s.MissingBackups != 2 {
		t.Fatalf("sync %v, want %d files, 5 orphans, 2 missing", s, len(keys)+2)
	}
	files := r.files()
	orphans := slices.Sorted(maps.Keys(maps.Collect(func(yield func(string, bool) bool) {
		for k, linked := range files {
			if !linked && !yield(k, true) {
				return
			}
		}
	})))
	want := append(keys[:3:3], "stray.backup", "zz/ä b+c%20&\"'.meta")
	slices.Sort(want)
	if !slices.Equal(orphans, want) || len(files) != len(keys)+2 {
		t.Fatalf("%d files, orphans %q, want %q", len(files), orphans, want)
	}
	if m := r.missing(); !slices.Equal(m, []string{"backups/gone.backup", "zzz/gone.backup"}) {
		t.Fatalf("missing %q", m)
	}
}

func TestLinksFollowRecordsWithoutASync(t *testing.T) {
	r := newRig(t, mem.Options{})
	keys, paths := production(50)
	r.account.Fill(bucket, 10, time.Unix(1e9, 0), keys...)
	r.backups(paths...)
	r.start()
	r.sync()
	stem := strings.TrimSuffix(paths[7], ".backup")
	linked := func() int {
		n := 0
		for k, l := range r.files() {
			if strings.HasPrefix(k, stem+".") && l {
				n++
			}
		}
		return n
	}
	if linked() != 3 {
		t.Fatal("the files of a backup are not linked")
	}
	r.log.Must(&pb.DeleteRecords{Org: org, Kind: "backup", Ids: []string{fmt.Sprintf("bkp_%s_7", paths[7])}})
	if linked() != 0 {
		t.Fatal("the record is gone, its files are still linked")
	}
	r.backups(paths[7])
	if linked() != 3 {
		t.Fatal("the record is back, its files are still orphans")
	}
	r.log.Must(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{
		Org: org, Id: "pitr1", StorageId: destID, Status: "active", Prefix: []byte("backups/03/"),
	}}}}})
	v := r.view()
	defer v.Release()
	stats := v.Stats()
	want := uint64(0)
	for _, k := range keys {
		if strings.HasPrefix(k, "backups/03/") {
			want++
		}
	}
	if got := stats.ByType[index.Pitr].Linked.Files; got != want || want == 0 {
		t.Fatalf("%d PITR files, want %d", got, want)
	}
}

// TestInterruptedSyncContinues restarts the node repeatedly while it lists, and compares
// the result with that of an undisturbed run.
func TestInterruptedSyncContinues(t *testing.T) {
	var lists atomic.Int64
	r := newRig(t, mem.Options{PageSize: 20, Faults: mem.Faults{
		BeforeList: func(ctx context.Context, _ string, _ provider.ListRequest) error {
			lists.Add(1)
			select {
			case <-time.After(time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}})
	keys, paths := production(4000)
	r.account.Fill(bucket, 10, time.Unix(1e9, 0), keys...)
	for batch := range slices.Chunk(paths[:2000], 500) {
		r.backups(batch...)
	}
	r.start()
	first := r.sync()
	undisturbed := r.files()
	id := r.startSync()
	recorded := uint64(0)
	for range 4 {
		r.log.Wait("another segment", func() bool {
			s := r.get(id)
			if s.Segments == recorded && s.FinishedAt == 0 {
				return false
			}
			recorded = s.Segments
			return true
		})
		r.restart()
	}
	s := r.wait(id)
	if s.Status != "completed" || s.FilesScanned != first.FilesScanned || s.OrphanFiles != first.OrphanFiles {
		t.Fatalf("interrupted sync %v, undisturbed %v", s, first)
	}
	if !maps.Equal(r.files(), undisturbed) {
		t.Fatal("the interrupted sync has another result than the undisturbed one")
	}
}

func TestChangingBucketIsScannedConsistently(t *testing.T) {
	r := newRig(t, mem.Options{PageSize: 50})
	keys, paths := production(500)
	r.account.Fill(bucket, 10, time.Unix(1e9, 0), keys...)
	r.backups(paths...)
	r.start()
	r.sync()
	rnd := rand.New(rand.NewPCG(1, 1))
	for round := range 5 {
		for i := range 100 {
			k := fmt.Sprintf("backups/%02x/new_%d_%d.backup", rnd.IntN(9), round, i)
			keys = append(keys, k)
			r.account.Fill(bucket, 1, time.Unix(1e9, 0), k)
		}
		if s := r.sync(); s.FilesScanned != uint64(len(keys)) {
			t.Fatalf("round %d: %d files, want %d", round, s.FilesScanned, len(keys))
		}
		if len(r.files()) != len(keys) {
			t.Fatalf("round %d: %d files in the index, want %d", round, len(r.files()), len(keys))
		}
	}
}

func TestFailuresKeepTheLastGeneration(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		refuse error
		want   string
	}{
		{"credentials", &provider.Error{Kind: provider.Credentials, Op: "list", Bucket: bucket, Reason: "the key is not known"}, nil, "list: credentials: the key is not known"},
		{"corrupt", &provider.Error{Kind: provider.Corrupt, Op: "list", Bucket: bucket, Reason: "keys out of order"}, nil, "keys out of order"},
		{"disk full", fmt.Errorf("write /data/secret-place: %w", syscall.ENOSPC), nil, "disk is full"},
		{"inner", errors.New("dial 10.1.2.3: something inner"), nil, "its log says why"},
		{"no promotion", nil, errors.New("no quorum"), "its log says why"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fail atomic.Bool
			var lists atomic.Int64
			r := newRig(t, mem.Options{PageSize: 10, Faults: mem.Faults{
				BeforeList: func(context.Context, string, provider.ListRequest) error {
					if fail.Load() && c.err != nil && lists.Add(1) > 20 {
						return c.err
					}
					return nil
				},
			}})
			keys, _ := production(200)
			r.account.Fill(bucket, 10, time.Unix(1e9, 0), keys...)
			r.start()
			r.sync()
			fail.Store(true)
			r.log.SetHook(func(_ context.Context, p *catalogtest.Proposal, commit func() error) error {
				if _, ok := p.Commands[0].(*pb.PromoteSync); ok && c.refuse != nil {
					return c.refuse
				}
				return commit()
			})
			s := r.sync()
			if s.Status != "failed" || !strings.Contains(s.Error, c.want) || strings.Contains(s.Error, "10.1") || strings.Contains(s.Error, "/data") {
				t.Fatalf("sync %v, want failed with %q", s, c.want)
			}
			if len(r.files()) != len(keys) {
				t.Fatal("the last generation is no longer served")
			}
			fail.Store(false)
			r.log.SetHook(nil)
			if s := r.sync(); s.Status != "completed" {
				t.Fatalf("sync after the failure: %v", s)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, mem.Options{Faults: mem.Faults{
		BeforeList: func(ctx context.Context, _ string, _ provider.ListRequest) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}})
	r.account.Fill(bucket, 10, time.Unix(1e9, 0), "a.backup")
	r.start()
	id := r.startSync()
	r.log.Must(&pb.FinishSync{SyncId: id, Status: "cancelled", At: time.Now().UnixMilli()})
	close(release)
	if s := r.sync(); s.Status != "completed" || s.Id == id {
		t.Fatalf("sync after a cancelled one: %v", s)
	}
	if s := r.get(id); s.Status != "cancelled" {
		t.Fatalf("cancelled sync is %s", s.Status)
	}
}

func TestEmptyBucket(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.backups("gone.backup")
	r.start()
	if s := r.sync(); s.Status != "completed" || s.FilesScanned != 0 || s.MissingBackups != 1 {
		t.Fatalf("sync of an empty bucket: %v", s)
	}
	if len(r.files()) != 0 || len(r.missing()) != 1 {
		t.Fatal("an empty bucket has files, or no missing record")
	}
	r.log.Must(&pb.DeleteRecords{Org: org, Kind: "backup", Ids: []string{"bkp_gone.backup_0"}})
	if m := r.missing(); len(m) != 0 {
		t.Fatalf("the record is gone and still missing: %v", m)
	}
	if s := r.sync(); s.Status != "completed" || s.MissingBackups != 0 {
		t.Fatalf("second sync of an empty bucket: %v", s)
	}
}

func TestProgressNeverFalls(t *testing.T) {
	r := newRig(t, mem.Options{PageSize: 20, Faults: mem.Faults{
		BeforeList: func(context.Context, string, provider.ListRequest) error {
			time.Sleep(15 * time.Millisecond)
			return nil
		},
	}})
	keys, _ := production(4000)
	r.account.Fill(bucket, 10, time.Unix(1e9, 0), keys...)
	r.start()
	r.sync()
	r.sync()
	r.halt()
	r.mu.Lock()
	defer r.mu.Unlock()
	last := map[string]Progress{}
	for _, p := range r.progress {
		before := last[p.SyncID]
		if p.Percent < before.Percent || p.FilesScanned < before.FilesScanned || p.Percent > 100 {
			t.Fatalf("progress falls from %+v to %+v", before, p)
		}
		if p.Percent == 100 != (p.Status == "completed") {
			t.Fatalf("progress %+v: only a promoted sync is at 100 %%", p)
		}
		last[p.SyncID] = p
	}
	moved := 0
	for _, p := range r.progress {
		if p.Percent > 5 && p.Percent < 100 {
			moved++
		}
	}
	if moved < 2 {
		t.Errorf("of %d events only %d show progress", len(r.progress), moved)
	}
	if len(last) != 2 {
		t.Fatalf("progress of %d syncs, want 2", len(last))
	}
	for _, p := range last {
		if p.Status != "completed" || p.FilesScanned != uint64(len(keys)) || p.RangesDone > p.RangesTotal {
			t.Fatalf("last progress %+v", p)
		}
	}
}
