package scanner

import (
	"errors"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
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
	r.syncEvery = time.Hour
	// The destination was created long ago, but its credentials were not verified.
	config := &CoordinatorConfig{Catalog: r.node.Catalog, Proposer: r.node, SyncEvery: r.syncEvery}
	startDue := func() []*pb.Sync {
		if err := startDueSyncs(t.Context(), config, time.Now()); err != nil {
			t.Fatal(err)
		}
		return catalogtest.Read(r.log, func(tx *catalog.Tx) ([]*pb.Sync, error) { return tx.Syncs(org, destID, "", 0) })
	}
	if all := startDue(); len(all) != 0 {
		t.Fatalf("a destination that is not verified was synced: %v", all)
	}
	r.log.Must(&pb.SetVerified{Org: org, Id: destID, Verified: true, At: 1, Revision: 1})
	r.start()
	var s *pb.Sync
	r.log.Wait("a scheduled sync", func() bool {
		s = catalogtest.Read(r.log, func(tx *catalog.Tx) (*pb.Sync, error) {
			last, err := tx.LastSync(org, destID)
			if errors.Is(err, catalog.ErrNotFound) {
				return nil, nil
			}
			return last, err
		})
		return s != nil
	})
	if s := r.wait(s.Id); s.Status != catalog.SyncCompleted {
		t.Fatalf("scheduled sync: %v", s)
	}
	if all := startDue(); len(all) != 1 {
		t.Fatalf("%d syncs, want 1: it is not due again for an hour", len(all))
	}
}
