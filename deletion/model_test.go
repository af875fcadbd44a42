package deletion

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/keyspace"
	"firescan/provider/mem"
)

// world is a deleter among others that put objects and records, with a model of what must
// hold: which records there are, what lies in the bucket, and what the last scan saw.
type world struct {
	*deleteRig
	t    *rapid.T
	id   string // of the destination, whose path it is, too
	conf mem.Ignored

	records map[string]*pb.Backup
	going   map[string]bool   // the records that are being deleted with their files
	scanned map[string]string // by key, the tag that the last scan saw; without what was deleted since
	unseen  bool              // files that no scan saw may be deleted, too: they were asked for by name
	crashed bool
	content int
}

var (
	genKey    = rapid.SampledFrom([]string{"a", "a.backup", "a.meta", "a-b.backup", "a/c.backup", "b.backup", "b.x.meta", "b.txt", "pitr/log"})
	genKeys   = rapid.SliceOfN(genKey, 1, 6)
	genRecord = rapid.SampledFrom([]string{"r1", "r2", "r3"})
)

// needs is the rule of linking, as it is written.
func needs(b *pb.Backup, key string) bool {
	stem := func(path []byte) string { return string(keyspace.Stem(path)) }
	named := slices.ContainsFunc(append([][]byte{b.StoragePath}, b.Files...), func(f []byte) bool {
		return len(f) > 0 && (string(f) == key || strings.HasPrefix(key, string(f)+"/"))
	})
	return named || len(b.StoragePath) > 0 && stem(b.StoragePath) == stem([]byte(key))
}

// see is called for each object at the time when it is deleted.
func (w *world) see(key, tag string) {
	for id, b := range w.records {
		if needs(b, key) && !w.going[id] {
			w.t.Errorf("%q was deleted, which record %s needs", key, id)
		}
	}
	// The files of a backup are deleted as they are. Without conditions a file that is replaced
	// at the last moment cannot be detected.
	asSeen := w.going == nil && w.conf != (mem.Ignored{Single: true, Batch: true})
	if seen, known := w.scanned[key]; asSeen && (known && seen != tag || !known && !w.unseen) {
		w.t.Errorf("%q was deleted with tag %s; the scan saw %q", key, tag, seen)
	}
	delete(w.scanned, key)
}

func (w *world) key(name string) string { return w.id + "/" + name }

func (w *world) upload(name string) {
	w.content++
	w.put(w.key(name), fmt.Sprint("content ", w.content))
}

// claim stores a record; the catalog may refuse it.
func (w *world) claim(id, path string, files []string) {
	b := &pb.Backup{Org: org, Id: w.id + "-" + id, StorageId: w.id, Status: "completed", CreatedAt: 1}
	if path != "" {
		b.StoragePath = []byte(w.key(path))
	}
	for _, f := range files {
		b.Files = append(b.Files, []byte(w.key(f)))
	}
	res := w.propose(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
	if len(res.Rejected) == 0 {
		w.records[b.Id] = b
	} else if res.Rejected[0].Code != catalog.CodeBeingDeleted {
		w.t.Fatalf("record %s is refused: %v", id, res.Rejected)
	}
}

// scan syncs the destination.
func (w *world) scan() {
	id := w.propose(&pb.StartSync{Org: org, DestinationId: w.id, SyncId: catalog.NewID(catalog.KindSync), At: 1}).SyncId
	if s := w.log.WaitSync(org, id); s.Status != catalog.SyncCompleted {
		w.t.Fatalf("sync: %v", s)
	}
	w.scanned = w.tags()
}

// tags are those of all objects under the destination's path.
func (w *world) tags() map[string]string {
	tags := map[string]string{}
	for _, key := range w.keys(w.id + "/") {
		info, err := w.account.Bucket(bucket).Stat(context.Background(), key)
		if err != nil {
			w.t.Fatal(err)
		}
		tags[key] = info.Tag
	}
	return tags
}

// event is what happens at a step of a deletion.
type event struct {
	step int
	what string
	name string
	id   string
}

// plan draws what is to happen during a deletion, and sets it up.
func (w *world) plan() {
	kinds := []string{"claim", "claim", "unclaim", "crash before", "crash after"}
	if w.conf != (mem.Ignored{Single: true, Batch: true}) {
		kinds = append(kinds, "upload") // nothing could tell it in time otherwise
	}
	events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{rapid.IntRange(1, 12).Draw(t, "step"), rapid.SampledFrom(kinds).Draw(t, "what"), genKey.Draw(t, "name"), genRecord.Draw(t, "id")}
	}), 0, 3).Draw(w.t, "events")
	w.crashed = false
	w.deleter.limits.paths, w.deleter.limits.singles = 3, 2
	w.set(func(n int, _ string) error {
		for _, e := range events {
			if e.step != n || w.crashed {
				continue
			}
			switch e.what {
			case "claim":
				w.claim(e.id, e.name, nil)
			case "unclaim":
				w.unclaim(e.id)
			case "upload":
				w.upload(e.name)
			case "crash before":
				w.crash()
			}
		}
		if w.crashed {
			return errCrashed
		}
		return nil
	}, func(n int, _ string) error {
		for _, e := range events {
			if e.step == n && e.what == "crash after" {
				w.crash()
				return errCrashed
			}
		}
		return nil
	})
}

func (w *world) crash() {
	w.crashed = true
	w.deleter.stop()
}

// over ends a deletion: a node that has crashed is started again, and nobody else is in
// the way any more.
func (w *world) over() {
	w.set(nil, nil)
	w.going, w.unseen = nil, false
	if w.crashed {
		w.reboot()
	}
	// What the catalog has deleted is no record any more, whatever was returned.
	for id := range w.records {
		if err := w.catalog.View(func(tx *catalog.Tx) error {
			_, err := tx.Backup(org, id)
			return err
		}); errors.Is(err, catalog.ErrNotFound) {
			delete(w.records, id)
		}
	}
}

func (w *world) unclaim(id string) {
	id = w.id + "-" + id
	w.propose(&pb.DeleteRecords{Org: org, Kind: catalog.KindBackup, Ids: []string{id}})
	delete(w.records, id)
}

func (w *world) deleteFiles(names []string) {
	req := FilesRequest{Destination: w.destination(w.id), Who: "tok"}
	for _, n := range names {
		req.Paths = append(req.Paths, []byte(w.key(n)))
	}
	w.unseen = true
	w.plan()
	got, err := w.deleter.DeleteFiles(context.Background(), req)
	if err == nil && !w.crashed {
		for _, o := range got {
			if o.Deleted != (o.Err == nil) {
				w.t.Errorf("outcome %+v", o)
			}
		}
	}
	w.over()
}

func (w *world) deleteRecordsOf(ids []string, files bool) {
	req := BackupsRequest{Destination: w.destination(w.id), Who: "tok", Files: files}
	w.going = map[string]bool{}
	for _, id := range ids {
		req.IDs = append(req.IDs, w.id+"-"+id)
		w.going[w.id+"-"+id] = true
	}
	w.plan()
	got, err := w.deleter.DeleteBackups(context.Background(), req)
	if err == nil && !w.crashed {
		for _, o := range got.Outcomes {
			if !o.Deleted && o.Err == nil {
				w.t.Errorf("outcome %+v", o)
			}
		}
	}
	w.over()
}

func (w *world) clean(types []index.Type) {
	req := CleanupRequest{Destination: w.destination(w.id), Who: "tok", Types: types, Before: 1 << 60}
	plan, err := w.deleter.Plan(context.Background(), req)
	if errors.Is(err, ErrNeverSynced) {
		return
	} else if err != nil {
		w.t.Fatal(err)
	}
	req.Confirm = plan.Hash
	w.plan()
	_, _ = w.deleter.Cleanup(context.Background(), req)
	w.over()
}

// resolveSoon looks at what is left open; the node may crash there, too.
func (w *world) resolveSoon() {
	w.plan()
	w.deleter.limits.abandoned, w.deleter.limits.release = 0, 0
	_ = w.deleter.recoverAll(context.Background(), map[string]*openIntent{})
	w.over()
}

// settled checks what must hold when all is resolved: nothing is marked, and every path is
// in the bucket and the index, or in neither.
func (w *world) settled() {
	w.recoverAbandoned()
	if n := w.intents(); len(n) > 0 {
		w.t.Fatalf("left open: %v", n)
	}
	if w.scanned == nil {
		return
	}
	view, err := w.keeper.View(context.Background(), w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	defer view.Release()
	indexed := map[string]bool{}
	if _, _, err := view.Query(index.Query{}, func(e *index.Entry) bool {
		indexed[string(e.Path)] = e.Linked
		return true
	}); err != nil {
		w.t.Fatal(err)
	}
	there := w.tags()
	for key := range indexed {
		if there[key] == "" {
			w.t.Errorf("%q is in the index and not in the bucket", key)
		}
	}
	for key := range w.scanned {
		if _, has := indexed[key]; !has {
			w.t.Errorf("%q was scanned and never deleted, and is not in the index", key)
		}
	}
	for key, linked := range indexed {
		needed := slices.ContainsFunc(slices.Collect(maps.Values(w.records)), func(b *pb.Backup) bool { return needs(b, key) })
		if linked != needed {
			w.t.Errorf("%q is linked: %v, want %v", key, linked, needed)
		}
	}
}

// TestNoNeededFileIsDeleted lets deletions of all kinds, records, uploads, scans and crashes
// come together in any order, in buckets that honor conditions in every combination.
func TestNoNeededFileIsDeleted(t *testing.T) {
	rigs := map[string]*deleteRig{}
	for name, ignored := range conditioned {
		rigs[name] = newDeleteRig(t, mem.Options{Ignore: ignored})
	}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		conditions := rapid.SampledFrom(slices.Sorted(maps.Keys(conditioned))).Draw(t, "conditions")
		w := &world{deleteRig: rigs[conditions], t: t, id: fmt.Sprint("dest", n), conf: conditioned[conditions], records: map[string]*pb.Backup{}}
		w.deleted = w.see
		w.propose(&pb.PutDestination{Create: true, Destination: &pb.Destination{
			Org: org, Id: w.id, Name: w.id, Type: catalog.TypeS3, Bucket: bucket, Path: w.id, CreatedAt: 1,
		}})
		w.propose(&pb.SetConditions{Org: org, Id: w.id, Revision: 1, Single: !w.conf.Single, Batch: !w.conf.Batch, At: 1})
		for _, name := range rapid.SliceOfN(genKey, 0, 9).Draw(t, "objects") {
			w.upload(name)
		}
		t.Repeat(map[string]func(*rapid.T){
			"upload":  func(t *rapid.T) { w.upload(genKey.Draw(t, "name")) },
			"claim":   func(t *rapid.T) { w.claim(genRecord.Draw(t, "id"), genKey.Draw(t, "path"), genKeys.Draw(t, "files")) },
			"unclaim": func(t *rapid.T) { w.unclaim(genRecord.Draw(t, "id")) },
			"scan":    func(*rapid.T) { w.scan() },
			"files":   func(t *rapid.T) { w.deleteFiles(genKeys.Draw(t, "names")) },
			"backups": func(t *rapid.T) {
				w.deleteRecordsOf(rapid.SliceOfN(genRecord, 1, 3).Draw(t, "ids"), rapid.Bool().Draw(t, "files"))
			},
			"clean up": func(t *rapid.T) { w.clean(append(slices.Clone(recognized), index.Unknown)) },
			"resolve":  func(*rapid.T) { w.resolveSoon() },
		})
		w.settled()
		for _, id := range []string{"r1", "r2", "r3"} { // they would be looked up in the next run
			w.unclaim(id)
		}
	})
}

// TestEveryCrash crashes a deletion of each kind at each of its steps, before and after it
// was carried out.
func TestEveryCrash(t *testing.T) {
	for name, ignored := range conditioned {
		t.Run(name, func(t *testing.T) {
			steps := crashAt(t, ignored, 0, "never")
			if steps < 10 {
				t.Errorf("only %d steps: the test does not see what it is about", steps)
			}
			for step := 1; step <= steps; step++ {
				crashAt(t, ignored, step, "before")
				crashAt(t, ignored, step, "after")
			}
		})
	}
}

// crashAt deletes in all ways, with a crash at a step, and checks what is left after a new
// start. It returns the number of steps.
func crashAt(t *testing.T, ignored mem.Ignored, step int, when string) (steps int) {
	t.Helper()
	r := newDeleteRig(t, mem.Options{Ignore: ignored})
	defer r.deleter.Close()
	r.account.Fill(bucket, 10, old, "bkp.backup", "bkp.meta", "kept.1", "kept.2", "kept.3", "kept.backup", "o1.backup", "o2.backup", "o3.backup")
	r.backup("bkp", "bkp.backup")
	r.backup("kept", "kept.backup")
	r.sync()
	r.delete() // learns the conditions
	r.deleter.limits.paths, r.deleter.limits.singles = 2, 2
	crashed := false
	crash := func(at int, now string) error {
		steps = max(steps, at)
		if at == step && now == when {
			crashed = true
			r.deleter.stop()
		}
		if crashed {
			return errCrashed
		}
		return nil
	}
	r.set(func(at int, _ string) error { return crash(at, "before") }, func(at int, _ string) error { return crash(at, "after") })
	ctx := context.Background()
	_, _ = r.deleter.DeleteFiles(ctx, FilesRequest{Destination: r.destination(destID), Paths: [][]byte{[]byte("o1.backup"), []byte("kept.backup")}})
	_, _ = r.deleter.DeleteBackups(ctx, BackupsRequest{Destination: r.destination(destID), IDs: []string{"bkp"}, Files: true})
	_, _ = r.deleter.Cleanup(ctx, CleanupRequest{Destination: r.destination(destID), Types: recognized, Before: 1 << 60})
	r.set(nil, nil)
	r.reboot()
	r.recoverAbandoned()
	if left := r.intents(); len(left) > 0 {
		t.Fatalf("%s step %d: left open %v", when, step, left)
	}
	r.agree()
	left := r.keys("")
	if len(r.keys("kept")) != 4 {
		t.Errorf("%s step %d: a file of a record is gone: %q", when, step, left)
	}
	files := slices.ContainsFunc(left, func(k string) bool { return k == "bkp.backup" || k == "bkp.meta" })
	if has := slices.Contains(r.records(), "bkp"); !has && files {
		t.Errorf("%s step %d: the record is gone and its files are not", when, step)
	}
	if when == "never" && len(left) != 4 {
		t.Errorf("without a crash these are left: %q", left)
	}
	return steps
}
