package scanner

import (
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider/mem"
)

func TestNextSync(t *testing.T) {
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := &pb.Destination{CreatedAt: created.UnixMilli()}
	started := created.Add(5 * time.Hour)
	for _, c := range []struct {
		name string
		last *pb.Sync
		want time.Time
	}{
		{"never synced", nil, created.Add(24 * time.Hour)},
		{"synced", &pb.Sync{StartedAt: started.UnixMilli(), FinishedAt: started.Add(time.Minute).UnixMilli()}, started.Add(24 * time.Hour)},
		{"running", &pb.Sync{StartedAt: started.UnixMilli()}, time.Unix(1<<40, 0)},
	} {
		if got := nextSync(d, c.last, 24*time.Hour); !got.Equal(c.want) {
			t.Errorf("%s: due %v, want %v", c.name, got, c.want)
		}
	}
}

func TestDueDestinationsAreSynced(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.account.Fill(bucket, 1, time.Unix(1e9, 0), "a.backup")
	r.coordinator.SyncEvery = time.Hour
	r.start()
	// The destination was created long ago, but nobody knows yet whether its
	// credentials work.
	time.Sleep(1200 * time.Millisecond)
	if s := r.last1(); s != nil {
		t.Fatalf("a destination that is not verified was synced: %v", s)
	}
	r.propose(&pb.SetVerified{Org: org, Id: destID, Verified: true, At: 1, Revision: 1})
	deadline := time.Now().Add(10 * time.Second)
	for r.last1() == nil {
		if time.Now().After(deadline) {
			t.Fatal("a due destination was not synced")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if s := r.wait(r.last1().Id); s.Status != catalog.SyncCompleted {
		t.Fatalf("scheduled sync: %v", s)
	}
	time.Sleep(1200 * time.Millisecond)
	if n := r.countSyncs(); n != 1 {
		t.Fatalf("%d syncs, want 1: it is not due again for an hour", n)
	}
}

func (r *rig) last1() (s *pb.Sync) {
	_ = r.catalog.View(func(tx *catalog.Tx) (err error) {
		s, err = tx.LastSync(org, destID)
		return err
	})
	return s
}

func (r *rig) countSyncs() (n int) {
	_ = r.catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.Syncs(org, destID, "", 0)
		n = len(all)
		return err
	})
	return n
}
