package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	pb "firescan/catalog/catalogpb"
)

// scanned makes a destination with a running sync of "p/" to "p0".
func scanned(t *testing.T) *Catalog {
	t.Helper()
	c := openTest(t)
	d := testDestination("o", "d")
	d.Path = "p"
	mustPut(t, c, d, true)
	if r := apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: "s"}); r.SyncId != "s" {
		t.Fatal(r)
	}
	return c
}

func seal(t *testing.T, c *Catalog, sync string, bounds ...string) *pb.Result {
	t.Helper()
	m := &pb.SealSegments{SyncId: sync}
	for i := 0; i < len(bounds); i += 2 {
		m.Segments = append(m.Segments, &pb.Segment{
			Id: bounds[i] + "-" + bounds[i+1], Start: []byte(bounds[i]), End: []byte(bounds[i+1]), Files: 10, ClassifiedAt: c.AppliedIndex(),
		})
	}
	return apply(t, c, m)
}

func TestPromoteNamesTheGap(t *testing.T) {
	for name, tc := range map[string]struct {
		bounds []string
		gap    string
	}{
		"nothing":   {nil, `["p/", "p0")`},
		"beginning": {[]string{"p/m", "p0"}, `["p/", "p/m")`},
		"middle":    {[]string{"p/", "p/c", "p/d", "p0"}, `["p/c", "p/d")`},
		"end":       {[]string{"p/", "p/c"}, `["p/c", "p0")`},
	} {
		t.Run(name, func(t *testing.T) {
			c := scanned(t)
			if r := seal(t, c, "s", tc.bounds...); r.Code != "" {
				t.Fatal(r)
			}
			r := apply(t, c, &pb.PromoteSync{SyncId: "s"})
			if r.Code != CodeConflict || !strings.Contains(r.Message, tc.gap) {
				t.Errorf("%v, want a conflict about %s", r, tc.gap)
			}
		})
	}
}

func TestSealRefuses(t *testing.T) {
	for _, tc := range []struct{ start, end, code string }{
		{"p/c", "p/m", ""}, // again: another id, so see below
		{"p/a", "p/d", CodeConflict},
		{"p/d", "p/e", CodeConflict},
		{"p/a", "p0", CodeConflict},
		{"o", "p/a", CodeInvalid},
		{"p/x", "p1", CodeInvalid},
		{"p/x", "", CodeInvalid},
		{"p/x", "p/x", CodeInvalid},
		{"p/y", "p/x", CodeInvalid},
		{"p/", "p/c", ""},
		{"p/m", "p0", ""},
	} {
		c := scanned(t)
		if r := seal(t, c, "s", "p/c", "p/m"); r.Code != "" {
			t.Fatal(r)
		}
		if r := seal(t, c, "s", tc.start, tc.end); r.Code != tc.code {
			t.Errorf("[%q, %q): %v, want code %q", tc.start, tc.end, r, tc.code)
		}
	}
	c := scanned(t)
	stale := &pb.Segment{Id: "x", Start: []byte("p/"), End: []byte("p0"), ClassifiedAt: 1}
	if r := apply(t, c, &pb.SealSegments{SyncId: "s", Segments: []*pb.Segment{stale}}); r.Code != CodeInvalid {
		t.Errorf("a segment that was classified before its sync: %v", r)
	}
	seal(t, c, "s", "p/", "p0")
	other := &pb.Segment{Id: "x", Start: []byte("p/"), End: []byte("p0"), ClassifiedAt: c.AppliedIndex()}
	if r := apply(t, c, &pb.SealSegments{SyncId: "s", Segments: []*pb.Segment{other}}); r.Code != CodeConflict {
		t.Errorf("another segment of the same range: %v", r)
	}
}

func TestSyncLifecycle(t *testing.T) {
	c := scanned(t)
	if r := apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: "s2"}); r.Code != "" || r.SyncId != "s" {
		t.Errorf("a second start returns %v, want the running sync", r)
	}
	for range 2 { // a command that was sent twice counts once
		if r := seal(t, c, "s", "p/", "p/k"); r.Code != "" {
			t.Fatal(r)
		}
	}
	seal(t, c, "s", "p/k", "p0")
	if r := apply(t, c, &pb.PromoteSync{SyncId: "s", At: 9}); r.Code != "" {
		t.Fatal(r)
	}
	err := c.View(func(tx *Tx) error {
		g, err := tx.Generation("d")
		if err != nil {
			return err
		}
		if g.Id != "s" || g.Files != 20 || g.PromotedAt != 9 || g.ClassifiedAt != 3 {
			t.Errorf("generation %v", g)
		}
		s, err := tx.LastSync("o", "d")
		if err != nil {
			return err
		}
		if s.Status != SyncCompleted || s.Segments != 2 || s.FilesScanned != 20 {
			t.Errorf("sync %v", s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{SyncFailed, SyncCompleted} {
		if r := apply(t, c, &pb.FinishSync{SyncId: "s", Status: m}); r.Code == "" {
			t.Errorf("a completed sync was finished as %s", m)
		}
	}
	if r := seal(t, c, "s", "p/", "p0"); r.Code != CodeConflict {
		t.Errorf("sealed in a completed sync: %v", r)
	}
}

func TestChangedDestinationForgetsItsScans(t *testing.T) {
	c := scanned(t)
	seal(t, c, "s", "p/", "p0")
	apply(t, c, &pb.PromoteSync{SyncId: "s"})
	apply(t, c, &pb.SetVerified{Org: "o", Id: "d", Verified: true, Revision: 1})
	apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: "s2"})
	seal(t, c, "s2", "p/", "p/k")

	d := testDestination("o", "d")
	d.Path, d.Name = "p", "another name"
	mustPut(t, c, d, false)
	view := func(check func(tx *Tx, d *pb.Destination, s *pb.Sync)) {
		t.Helper()
		err := c.View(func(tx *Tx) error {
			d, err1 := tx.Destination("o", "d")
			s, err2 := tx.Sync("o", "s2")
			check(tx, d, s)
			return errors.Join(err1, err2)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	view(func(_ *Tx, d *pb.Destination, s *pb.Sync) {
		if !d.Verified || d.Revision != 1 || s.Status != SyncRunning {
			t.Errorf("a new name changed %v, %v", d, s)
		}
	})
	d.Path = "q"
	mustPut(t, c, d, false)
	view(func(tx *Tx, d *pb.Destination, s *pb.Sync) {
		if d.Verified || d.Revision != 2 || s.Status != SyncCancelled {
			t.Errorf("a new path left %v, %v", d, s)
		}
		if _, err := tx.Generation("d"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the generation of the old path is there: %v", err)
		}
		for _, id := range []string{"s", "s2"} {
			if left, err := tx.Segments(id); len(left) > 0 || err != nil {
				t.Errorf("segments of the old path: %v, %v", left, err)
			}
		}
	})
	if r := apply(t, c, &pb.SetVerified{Org: "o", Id: "d", Verified: true, Revision: 1}); r.Code != CodeConflict {
		t.Errorf("verified by an answer for the old path: %v", r)
	}
}

func TestSyncHistoryIsBounded(t *testing.T) {
	c := scanned(t)
	for i := range 2 * keptSyncs {
		apply(t, c, &pb.FinishSync{SyncId: "s", Status: SyncFailed})
		apply(t, c, &pb.FinishSync{SyncId: fmt.Sprintf("t%04d", i-1), Status: SyncFailed})
		apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: fmt.Sprintf("t%04d", i)})
	}
	err := c.View(func(tx *Tx) error {
		all, err := tx.Syncs("o", "", "", 0)
		if len(all) != keptSyncs || all[0].Id != "t0199" {
			t.Errorf("%d syncs kept, the newest %v", len(all), all[0])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDestinationInUse(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o", "d"), true)
	apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Id: "x", StorageId: "d"}}}}})
	r := apply(t, c, &pb.DeleteDestination{Org: "o", Id: "d"})
	if err := ResultError(r); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "1 schedules") {
		t.Error(err)
	}
	if r := apply(t, c, &pb.DeleteDestination{Org: "stranger", Id: "d"}); r.Code != CodeNotFound {
		t.Errorf("a stranger deletes: %v", r)
	}
	apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindSchedule, Ids: []string{"x", "y"}})
	if r := apply(t, c, &pb.DeleteDestination{Org: "o", Id: "d"}); r.Code != "" {
		t.Error(r)
	}
}
