package deletion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/index"
	"firescan/provider/mem"
)

// fill makes n linked files with records and returns their names.
func (r *deleteRig) fill(n int) (names []string) {
	r.t.Helper()
	for i := range n {
		names = append(names, fmt.Sprintf("k%03d.backup", i))
	}
	r.account.Fill(bucket, 10, old, names...)
	for _, name := range names {
		r.backup("r"+name, name)
	}
	return names
}

func (r *deleteRig) drop(names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.log.Must(&pb.DeleteRecords{Org: org, Kind: catalog.KindBackup, Ids: []string{"r" + name}})
	}
}

// report reports an import, which has ended.
func (r *deleteRig) report(of string, m *pb.ImportReport) {
	r.t.Helper()
	m.Id, m.Ended = catalog.NewID(catalog.KindImport), true
	r.log.Must(&pb.SetGuards{Org: of, At: 1, Import: m})
}

// met returns the names of the guards that a cleanup meets. The dry run must show the same
// ones, and a cleanup that meets any must delete nothing.
func (r *deleteRig) met(req CleanupRequest) (names []string) {
	r.t.Helper()
	plan, err := r.deleter.Plan(context.Background(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, g := range plan.Guards {
		names = append(names, g.Name)
		if g.Saw == "" || g.Limit == "" || g.GoOn == "" {
			r.t.Errorf("the guard says too little: %+v", g)
		}
	}
	if len(names) == 0 {
		return nil
	}
	before := r.keys("")
	_, err = r.deleter.Cleanup(context.Background(), req)
	refused, ok := errors.AsType[*PlanError](err)
	if !ok || refused.Hash != plan.Hash || len(refused.Guards) != len(names) || !slices.Equal(before, r.keys("")) {
		r.t.Errorf("the cleanup: %v, the dry run showed %v", err, names)
	}
	return names
}

func (r *deleteRig) confirm(req CleanupRequest) *CleanupResult {
	r.t.Helper()
	plan, err := r.deleter.Plan(context.Background(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Confirm = plan.Hash
	done, err := r.deleter.Cleanup(context.Background(), req)
	if err != nil || done.Deleted != plan.Files || done.Failed != 0 {
		r.t.Fatalf("the confirmed cleanup of %d files: %+v, %v", plan.Files, done, err)
	}
	return done
}

// TestGuardsAtTheirThresholds: below its threshold a guard lets a cleanup go on, above it
// stops it, and with a confirmation the cleanup goes on.
func TestGuardsAtTheirThresholds(t *testing.T) {
	refused := catalog.RefusedKey(catalog.KindBackup, "lost")
	for name, c := range map[string]struct {
		limits Thresholds
		// lost are the records that are deleted after the first sync.
		lost  int
		act   func(r *deleteRig)
		guard string // none if it goes on
	}{
		"a jump below":               {Thresholds{JumpPoints: 20, JumpFiles: 2, NewOrphans: 99}, 10, nil, ""},
		"a jump above":               {Thresholds{JumpPoints: 20, JumpFiles: 2, NewOrphans: 99}, 11, nil, GuardJump},
		"a jump of few files":        {Thresholds{JumpPoints: 1, JumpFiles: 3, NewOrphans: 99}, 2, nil, ""},
		"half":                       {Thresholds{JumpPoints: 100, NewOrphans: 99}, 25, nil, ""},
		"more than half":             {Thresholds{JumpPoints: 100, NewOrphans: 99}, 26, nil, GuardHalf},
		"new orphans with changes":   {Thresholds{JumpPoints: 100, NewOrphans: 3}, 20, nil, ""},
		"new orphans below":          {Thresholds{JumpPoints: 100, NewOrphans: 12}, 0, uploads(12), ""},
		"new orphans above":          {Thresholds{JumpPoints: 100, NewOrphans: 11}, 0, uploads(12), GuardGrowth},
		"new orphans, two records":   {Thresholds{JumpPoints: 100, NewOrphans: 11}, 1, uploads(20), GuardGrowth},
		"new orphans, three records": {Thresholds{JumpPoints: 100, NewOrphans: 11}, 2, uploads(10), ""},
		"missing below":              {Thresholds{JumpPoints: 100, NewOrphans: 99, Missing: 1}, 2, missing(1), ""},
		"missing above":              {Thresholds{JumpPoints: 100, NewOrphans: 99, Missing: 1}, 2, missing(2), GuardMissing},
		"a refused record": {Thresholds{JumpPoints: 100, NewOrphans: 99}, 2, func(r *deleteRig) {
			r.report(org, &pb.ImportReport{Records: 50, Refused: []uint64{refused}})
		}, GuardFeed},
		"a refused record, stored since": {Thresholds{JumpPoints: 100, NewOrphans: 99}, 2, func(r *deleteRig) {
			r.report(org, &pb.ImportReport{Records: 50, Refused: []uint64{refused}})
			r.backup("lost", "k049.backup")
		}, ""},
		"a refused line, and a small import": {Thresholds{JumpPoints: 100, NewOrphans: 99}, 2, func(r *deleteRig) {
			r.report(org, &pb.ImportReport{Records: 50, Others: 1})
			r.report(org, &pb.ImportReport{Records: 49})
		}, GuardFeed},
		"a refused line, and a whole import": {Thresholds{JumpPoints: 100, NewOrphans: 99}, 2, func(r *deleteRig) {
			r.report(org, &pb.ImportReport{Records: 50, Others: 1})
			r.report(org, &pb.ImportReport{Records: 50})
		}, ""},
		"an import that runs": {Thresholds{JumpPoints: 100, NewOrphans: 99}, 2, func(r *deleteRig) {
			r.log.Must(&pb.SetGuards{Org: org, At: 1, Import: &pb.ImportReport{Id: "imp_1", Records: 3}})
		}, GuardFeed},
		"the feed of others": {Thresholds{JumpPoints: 100, NewOrphans: 99}, 2, func(r *deleteRig) {
			r.report("stranger", &pb.ImportReport{Records: 50, Others: 1, Unresolved: []uint64{1}})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{})
			r.deleter.config.Thresholds = c.limits
			names := r.fill(50)
			r.sync()
			r.drop(names[:c.lost]...)
			if c.act != nil {
				c.act(r)
			}
			var want []string
			if c.guard != "" {
				want = []string{c.guard}
			}
			if got := r.met(r.cleanupRequest()); !slices.Equal(got, want) {
				t.Fatalf("guards %v, want %v", got, want)
			}
			if c.guard != "" {
				r.confirm(r.cleanupRequest())
			} else if done, err := r.deleter.Cleanup(context.Background(), r.cleanupRequest()); err != nil || done.Deleted == 0 {
				t.Errorf("a cleanup without guards: %+v, %v", done, err)
			}
			r.agree()
		})
	}
}

func uploads(n int) func(*deleteRig) {
	return func(r *deleteRig) {
		for i := range n {
			r.account.Fill(bucket, 10, old, fmt.Sprintf("new-%d.backup", i))
		}
		r.sync()
	}
}

func missing(n int) func(*deleteRig) {
	return func(r *deleteRig) {
		for i := range n {
			r.backup(fmt.Sprint("gone", i), fmt.Sprintf("gone-%d.backup", i))
		}
	}
}

// TestAllGuardsAtOnce lists all guards that a plan meets, and an unresolved record by itself.
func TestAllGuardsAtOnce(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	names := r.fill(20)
	r.sync()
	r.drop(names[:12]...)
	missing(1)(r)
	r.report(org, &pb.ImportReport{Records: 20, Unresolved: []uint64{7}, Reasons: []string{"line 3: it is nowhere"}})
	want := []string{GuardHalf, GuardJump, GuardFeed, GuardUnresolved, GuardMissing}
	if got := r.met(r.cleanupRequest()); !slices.Equal(got, want) {
		t.Errorf("guards %v, want %v", got, want)
	}
}

// TestAJumpDoesNotWearOff: neither another sync, nor a cleanup of few files, nor a restart
// lets a jump pass; a confirmed cleanup does.
func TestAJumpDoesNotWearOff(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	names := r.fill(40)
	r.account.Fill(bucket, 10, old, "one.meta")
	r.sync()
	r.drop(names[:8]...)
	few := r.cleanupRequest()
	few.Types = []index.Type{index.Meta}
	if done, err := r.deleter.Cleanup(t.Context(), few); err != nil || done.Deleted != 1 {
		t.Fatalf("a cleanup of one file: %+v, %v", done, err)
	}
	for i, act := range []func(){
		func() {}, func() { r.sync() }, func() { r.sync() }, r.reboot, func() { r.log.Elect(r.log.Join("node2")) },
	} {
		if act(); !slices.Equal(r.met(r.cleanupRequest()), []string{GuardJump}) {
			t.Errorf("after step %d the cleanup meets %v", i, r.met(r.cleanupRequest()))
		}
	}
	// A new leader has the same state.
	state := func(c *catalog.Catalog) (g *pb.Generation) {
		if err := c.View(func(tx *catalog.Tx) (err error) {
			g, err = tx.Generation(destID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return g
	}
	if a, b := state(r.catalog), state(r.log.Node("node2").Catalog); a.Baseline == nil || !proto.Equal(a, b) {
		t.Errorf("the nodes have the baselines %v and %v", a.Baseline, b.Baseline)
	}
	r.confirm(r.cleanupRequest())
	r.drop(names[8])
	r.sync()
	if got := r.met(r.cleanupRequest()); got != nil {
		t.Errorf("one file more after a confirmed cleanup meets %v", got)
	}
}

// TestResemblingOrphansAreKept: what may be the file of a missing backup is in no plan,
// unless it is asked for, and then the plan must be confirmed.
func TestResemblingOrphansAreKept(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.deleter.config.Thresholds.Missing = 9
	r.fill(20)
	r.account.Fill(bucket, 77, old, "moved/lost.backup", "moved/lost.backup.gz")
	r.account.Fill(bucket, 5, old, "moved/lost.meta", "other.backup")
	r.log.Must(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: &pb.Backup{
		Org: org, Id: "lost", StorageId: destID, Size: 77, StoragePath: []byte("lost.backup"),
	}}}}})
	r.sync()
	req := r.cleanupRequest()
	if got := r.met(req); got != nil {
		t.Fatalf("guards %v", got)
	}
	done, err := r.deleter.Cleanup(t.Context(), req)
	want := []string{"moved/lost.backup", "moved/lost.backup.gz"}
	if err != nil || done.Deleted != 2 || done.Resembling.Files != 2 || !slices.Equal(done.Resembling.Examples, want) || !slices.Equal(r.keys("moved/"), want) {
		t.Fatalf("cleanup: %+v, %v, left %q", done, err, r.keys("moved/"))
	}
	req.Resembling = true
	if got := r.met(req); !slices.Equal(got, []string{GuardResembling}) {
		t.Fatalf("guards %v", got)
	}
	if done := r.confirm(req); done.Deleted != 2 {
		t.Errorf("confirmed: %+v", done)
	}
}

// TestManyMissingBackups: beyond a bound an equal stem is enough to resemble one.
func TestManyMissingBackups(t *testing.T) {
	lost := &lostFiles{names: []uint64{1}}
	lost.stems = []uint64{lost.stem([]byte("lost.backup"), 0)}
	if !lost.resembles(&index.Entry{Path: []byte("x/lost.meta"), Size: 3}) || lost.resembles(&index.Entry{Path: []byte("x/found.meta")}) {
		t.Error("the stem alone does not decide")
	}
}

// TestAnIncompleteFeedProtects: a feed that has lost lines, known to the catalog as refused
// ones, never leads to the deletion of a file that the complete feed names.
func TestAnIncompleteFeedProtects(t *testing.T) {
	rig := newDeleteRig(t, mem.Options{})
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		id := fmt.Sprintf("storage_p%d", n)
		d := catalogtest.Destination(org, id, bucket)
		d.Path = id
		rig.log.Put(d)
		count := rapid.IntRange(2, 30).Draw(t, "backups")
		lost := rapid.SliceOfN(rapid.Bool(), count, count).Draw(t, "lost")
		orphans := rapid.IntRange(0, 5).Draw(t, "orphans")
		report := &pb.ImportReport{Id: catalog.NewID(catalog.KindImport), Ended: true}
		var needed []string
		put := &pb.PutRecords{Org: org}
		for i := range count {
			name := fmt.Sprintf("%s/k%d.backup", id, i)
			needed = append(needed, name)
			rig.account.Fill(bucket, 10, old, name)
			r := catalogtest.Backup(org, id, fmt.Sprintf("%s_%d", id, i), name)
			if lost[i] {
				report.Refused = append(report.Refused, catalog.RecordKey(r))
			} else {
				put.Records = append(put.Records, r)
			}
		}
		for i := range orphans {
			rig.account.Fill(bucket, 10, old, fmt.Sprintf("%s/orphan%d.backup", id, i))
		}
		rig.log.Must(put)
		report.Records = uint64(len(put.Records))
		rig.log.Must(&pb.SetGuards{Org: org, At: time.Now().UnixMilli(), Import: report})
		rig.log.WaitSync(org, rig.log.StartSync(org, id))
		req := CleanupRequest{Destination: rig.destination(id), Who: "tok_1", Types: recognized, Before: time.Now().UnixMilli()}
		res, err := rig.deleter.Cleanup(context.Background(), req)
		left := rig.keys(id + "/")
		for _, name := range needed {
			if !slices.Contains(left, name) {
				t.Fatalf("%s was deleted (%+v, %v)", name, res, err)
			}
		}
		// The same feed, corrected: each refused record is stored now.
		again := &pb.PutRecords{Org: org}
		for i, name := range needed {
			if lost[i] {
				again.Records = append(again.Records, catalogtest.Backup(org, id, fmt.Sprintf("%s_%d", id, i), name))
			}
		}
		rig.log.Must(again)
		plan, err := rig.deleter.Plan(context.Background(), req)
		if err != nil || plan.Meets(GuardFeed) || plan.Files != uint64(len(left)-count) {
			t.Fatalf("the plan after the corrected feed: %+v, %v", plan, err)
		}
	})
}

// TestSeenOtherwiseIsNotMissing: a record whose object the sync has seen under another reading of
// its location, such as a folder, meets no guard. One that was not seen at all does.
func TestSeenOtherwiseIsNotMissing(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.fill(10)
	r.account.Fill(bucket, 10, old, "dump/monday/db/c.backup", "a b.backup", "orphan.backup")
	for id, path := range map[string]string{"folder": "dump/monday", "escaped": "s3://" + bucket + "/a%20b.backup"} {
		r.putResolved(&pb.Backup{Org: org, Id: id, StorageId: destID, CreatedAt: 1, StoragePath: []byte(path)})
	}
	r.sync()
	if met := r.met(r.cleanupRequest()); len(met) > 0 {
		t.Errorf("all files were seen, and the cleanup met %q", met)
	}
	r.putResolved(&pb.Backup{Org: org, Id: "lost", StorageId: destID, CreatedAt: 1, StoragePath: []byte("dump/tuesday")})
	r.sync()
	if met := r.met(r.cleanupRequest()); !slices.Equal(met, []string{GuardMissing}) {
		t.Errorf("a file was not seen, and the cleanup met %q", met)
	}
}

// TestGuardAfterAMove: the state after a move does not become the baseline silently: a cleanup
// must be confirmed, once, whatever scans there were.
func TestGuardAfterAMove(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	r.fill(20)
	r.account.Fill(bucket, 10, old, "new/1.backup", "new/2.backup", "new/3.backup", "new/k.backup")
	for _, name := range []string{"new/1.backup", "new/2.backup", "new/3.backup"} {
		r.backup(name, name)
	}
	r.sync()
	move := func(path string) {
		d := proto.CloneOf(r.destination(destID))
		d.Path = path
		r.log.Must(&pb.PutDestination{Destination: d, KeepPlace: true})
	}
	move("new")
	r.log.Must(&pb.DeleteRecords{Org: org, Kind: catalog.KindBackup, Ids: []string{"new/1.backup"}})
	for range 2 {
		r.sync()
		if met := r.met(r.cleanupRequest()); !slices.Contains(met, GuardMoved) {
			t.Fatalf("after the move it meets %v", met)
		}
	}
	r.confirm(r.cleanupRequest())
	move("")
	move("new")
	r.sync()
	r.confirm(everyType(r)) // nothing to delete confirms nothing
	r.account.Fill(bucket, 10, old, "new/o.backup")
	r.sync()
	if met := r.met(r.cleanupRequest()); !slices.Contains(met, GuardMoved) {
		t.Fatalf("after the second move it meets %v", met)
	}
	r.confirm(r.cleanupRequest())
	r.account.Fill(bucket, 10, old, "new/p.backup")
	r.sync()
	if met := r.met(r.cleanupRequest()); slices.Contains(met, GuardMoved) {
		t.Errorf("after a confirmed cleanup it meets %v", met)
	}
}

// TestFirstPlaceIsNoMove: a destination that was edited before its first sync has not been moved.
func TestFirstPlaceIsNoMove(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	d := proto.CloneOf(r.destination(destID))
	d.Path = "new"
	r.log.Must(&pb.PutDestination{Destination: d, KeepPlace: true})
	r.account.Fill(bucket, 10, old, "new/1.backup", "new/2.backup", "new/o.backup")
	r.backup("1", "new/1.backup")
	r.backup("2", "new/2.backup")
	r.sync()
	if met := r.met(r.cleanupRequest()); len(met) > 0 {
		t.Errorf("it meets %v", met)
	}
}
