package deletion

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
	"firescan/provider/mem"
)

// conditioned are buckets that honor conditions in every combination.
var conditioned = map[string]mem.Ignored{
	"in batches": {}, "one by one": {Batch: true}, "not at all": {Single: true, Batch: true},
}

func TestDeleteFiles(t *testing.T) {
	for name, ignored := range conditioned {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{Ignore: ignored, PageSize: 7})
			r.account.Fill(bucket, 10, old, "a/gone.backup", "a/linked.auth", "a/linked.backup", "a/orphan.backup", "a/replaced.backup", "z/far.backup")
			for i := range 40 {
				r.account.Fill(bucket, 10, old, fmt.Sprintf("dense/%03d.backup", i))
			}
			r.backups("a/linked.backup")
			r.sync()
			r.put("a/replaced.backup", "0123456789")
			r.put("a/new.backup", "new")
			if err := r.account.Bucket(bucket).Delete(context.Background(), "a/gone.backup", ""); err != nil {
				t.Fatal(err)
			}
			paths := []string{
				"z/far.backup", "a/linked.auth", "a/linked.backup", "a/orphan.backup", "a/replaced.backup", "a/new.backup", "a/nothing.backup", "a/gone.backup",
			}
			for i := range 40 {
				paths = append(paths, fmt.Sprintf("dense/%03d.backup", i))
			}
			paths = append(paths, "z/far.backup")
			got := r.delete(paths...)
			for path, want := range map[string]error{
				"a/linked.auth": catalog.ErrNotOrphan, "a/linked.backup": catalog.ErrNotOrphan, "a/replaced.backup": ErrChanged, "a/nothing.backup": ErrNotFound,
			} {
				if o := got[path]; o.Deleted || !errors.Is(o.Err, want) {
					t.Errorf("%s: %+v, want %v", path, o, want)
				}
				delete(got, path)
			}
			if o := got["a/gone.backup"]; !o.Deleted || !o.Absent || o.Size != 0 || o.Err != nil {
				t.Errorf("what was gone already: %+v", o)
			}
			delete(got, "a/gone.backup")
			for path, o := range got {
				if !o.Deleted || o.Absent || o.Err != nil || o.Size != 10 && path != "a/new.backup" {
					t.Errorf("%s: %+v", path, o)
				}
			}
			if want := []string{"a/linked.auth", "a/linked.backup", "a/replaced.backup"}; !slices.Equal(r.keys(""), want) {
				t.Errorf("the bucket has %q, want %q", r.keys(""), want)
			}
			r.agree()
			if n := r.intents(); len(n) != 0 {
				t.Errorf("%d intents are left", len(n))
			}
			audit := r.audit()
			if len(audit) == 0 || audit[0].Who != "tok_1" {
				t.Fatalf("audit: %v", audit)
			}
			deleted := 0
			for _, a := range audit {
				for _, o := range a.Outcomes {
					if o.Deleted && o.Reason == "" {
						deleted++
					}
				}
			}
			if deleted != 43 {
				t.Errorf("%d deletions on record, want 43", deleted)
			}
			d := r.destination(destID)
			if c := d.Conditions; c == nil || c.Single == ignored.Single || c.Batch == ignored.Batch {
				t.Errorf("the conditions are remembered as %v", c)
			}
		})
	}
}

// TestDeleteBeforeTheFirstSync decides by links and the bucket alone.
func TestDeleteBeforeTheFirstSync(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 10, old, "linked.backup", "orphan.backup")
	r.backups("linked.backup")
	got := r.delete("linked.backup", "orphan.backup", "nothing.backup")
	if !errors.Is(got["linked.backup"].Err, catalog.ErrNotOrphan) || !got["orphan.backup"].Deleted || !errors.Is(got["nothing.backup"].Err, ErrNotFound) {
		t.Errorf("%+v", got)
	}
	if keys := r.keys(""); !slices.Equal(keys, []string{"linked.backup"}) {
		t.Errorf("left: %q", keys)
	}
}

// TestNothingIsSentLate has a provider that does not respond before the time limit.
func TestNothingIsSentLate(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Faults: mem.Faults{
		DeleteBatch: func(ctx context.Context, name string, objects []provider.Deletion) error {
			if len(objects) == 1 {
				return nil // a canary
			}
			<-ctx.Done()
			return provider.Ended(ctx, "delete batch", name)
		},
	}})
	r.account.Fill(bucket, 10, old, "a.backup", "b.backup")
	r.sync()
	r.deleter.limits.batchTime = 50 * time.Millisecond
	got := r.delete("a.backup", "b.backup")
	for path, o := range got {
		if o.Deleted || !errors.Is(o.Err, ErrUnconfirmed) {
			t.Errorf("%s: %+v", path, o)
		}
	}
	// What may yet come to be deleted stays marked, and no record may come to need it.
	if n := r.intents(); len(n) != 1 || len(n[0].Paths) != 2 {
		t.Fatalf("intents: %v", n)
	}
	claim := &pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: &pb.Backup{Org: org, Id: "late", StorageId: destID, StoragePath: []byte("a.backup")}}}}}
	if res := r.propose(claim); len(res.Rejected) != 1 || res.Rejected[0].Code != catalog.CodeBeingDeleted {
		t.Errorf("a record that claims a marked file has the result %v", res)
	}
	// It may be deleted again, and stays marked for the first call.
	if o := r.delete("a.backup")["a.backup"]; !o.Deleted {
		t.Errorf("a second deletion of a marked file: %+v", o)
	}
	if res := r.propose(claim); len(res.Rejected) != 1 || res.Rejected[0].Code != catalog.CodeBeingDeleted {
		t.Errorf("after the second deletion the record is refused or stored: %v", res)
	}
	r.recoverAbandoned()
	if n := r.intents(); len(n) != 0 || len(r.keys("")) != 1 {
		t.Errorf("after the resolution: intents %v, keys %q", n, r.keys(""))
	}
	r.agree()
	if res := r.propose(claim); len(res.Rejected) != 0 {
		t.Errorf("after the resolution the record has the result %v", res)
	}
}

// TestLostResponse has a provider that deletes and does not confirm it.
func TestLostResponse(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 10, old, "a.backup", "b.backup")
	r.sync()
	r.delete() // learns the conditions
	r.set(nil, func(_ int, what string) error {
		if what == "delete batch" {
			return &provider.Error{Kind: provider.Unavailable, Op: what, Reason: "the connection was cut"}
		}
		return nil
	})
	got := r.delete("a.backup", "b.backup")
	for path, o := range got {
		if !o.Deleted || o.Absent || o.Size != 10 || o.Err != nil {
			t.Errorf("%s: %+v", path, o)
		}
	}
	// The call may still act on what is stored there later.
	if n := r.intents(); len(n) != 1 || len(n[0].Paths) != 2 {
		t.Errorf("intents %v", n)
	}
	r.agree()
	r.recoverAbandoned()
	if n := r.intents(); len(n) != 0 {
		t.Errorf("intents %v", n)
	}
}

// TestResolveWaits leaves alone what another node may be at work on.
func TestResolveWaits(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.account.Fill(bucket, 10, old, "a.backup", "b.backup", "c.backup")
	r.sync()
	begin := func(id, node, path string) {
		r.propose(&pb.BeginDelete{Org: org, DestinationId: destID, Id: id, Node: node, Who: "x", At: 1, Revision: 1, Paths: [][]byte{[]byte(path)}})
	}
	begin("del_other", "node2/1", "a.backup")
	begin("del_own", r.deleter.owner(), "b.backup")
	begin("del_earlier", "node1/0", "c.backup")
	known := map[string]*openIntent{}
	check := func(settled ...string) {
		t.Helper()
		if err := r.deleter.recoverAll(context.Background(), known); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range r.audit() {
			got = append(got, a.Id)
		}
		if !slices.Equal(got, settled) {
			t.Errorf("intents with an outcome: %q, want %q", got, settled)
		}
	}
	open := func(want ...string) {
		t.Helper()
		var got []string
		for _, n := range r.intents() {
			got = append(got, n.Id)
		}
		if !slices.Equal(got, want) {
			t.Errorf("open intents: %q, want %q", got, want)
		}
	}
	// An earlier run of the own node has ended. Its last calls may be on their way.
	check("del_earlier")
	open("del_earlier", "del_other", "del_own")
	passed := func(id string, d time.Duration) { known[id].since = time.Now().Add(-d) }
	passed("del_other", r.deleter.limits.abandoned)
	check("del_other", "del_earlier")
	open("del_earlier", "del_other", "del_own")
	passed("del_earlier", r.deleter.limits.release)
	check("del_other", "del_earlier")
	open("del_other", "del_own")
	// A late call has deleted it after all.
	if err := r.account.Bucket(bucket).Delete(context.Background(), "a.backup", ""); err != nil {
		t.Fatal(err)
	}
	passed("del_other", r.deleter.limits.release)
	check("del_other", "del_earlier")
	open("del_own")
	files := r.files()
	if _, has := files["a.backup"]; has || len(files) != 2 {
		t.Errorf("the index has %v", files)
	}
}

// TestResolveWithoutTheBucket keeps no file marked for good because it cannot be looked at.
func TestResolveWithoutTheBucket(t *testing.T) {
	for kind, left := range map[provider.Kind]int{provider.Denied: 0, provider.Credentials: 0, provider.Unavailable: 1} {
		t.Run(kind.String(), func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{})
			r.account.Fill(bucket, 10, old, "a.backup")
			r.propose(&pb.BeginDelete{Org: org, DestinationId: destID, Id: "del_1", Node: "node2/1", At: 1, Revision: 1, Paths: [][]byte{[]byte("a.backup")}})
			r.set(func(_ int, what string) error {
				if what == "list" {
					return &provider.Error{Kind: kind, Op: what, Reason: "injected"}
				}
				return nil
			}, nil)
			r.recoverAbandoned()
			if n := r.intents(); len(n) != left {
				t.Errorf("intents %v", n)
			}
			if a := r.audit(); left == 0 && (len(a) != 1 || a[0].Outcomes[0].Deleted || a[0].Outcomes[0].Reason != "injected") {
				t.Errorf("audit %v", a)
			}
		})
	}
}

// TestDeleteDuringAScan deletes a file between its list and its classification.
func TestDeleteDuringAScan(t *testing.T) {
	var r *deleteRig
	deleted := false
	r = newDeleteRig(t, mem.Options{Faults: mem.Faults{AfterList: func(_ context.Context, _ string, req provider.ListRequest, page *provider.Page) error {
		if req.Delimiter != "" || len(page.Objects) < 2 || deleted {
			return nil
		}
		deleted = true
		if o := r.delete("a.backup")["a.backup"]; !o.Deleted {
			t.Errorf("%+v", o)
		}
		return nil
	}}})
	r.account.Fill(bucket, 10, old, "a.backup", "b.backup")
	r.sync()
	if !deleted {
		t.Fatal("nothing was deleted during the scan")
	}
	r.agree()
}

// fileSystem is a bucket whose calls for single objects take keys for paths, as servers do
// that keep objects in a file system.
type fileSystem struct{ provider.Bucket }

func (b fileSystem) Stat(ctx context.Context, key string) (provider.Info, error) {
	return b.Bucket.Stat(ctx, strings.TrimPrefix(path.Clean(key), "/"))
}

func (b fileSystem) Delete(ctx context.Context, key, tag string) error {
	return b.Bucket.Delete(ctx, strings.TrimPrefix(path.Clean(key), "/"), tag)
}

func (b fileSystem) DeleteBatch(ctx context.Context, objects []provider.Deletion) []error {
	errs := make([]error, len(objects))
	for i, o := range objects {
		errs[i] = b.Delete(ctx, o.Key, o.Tag)
	}
	return errs
}

type fileSystems struct{ Buckets }

func (f fileSystems) Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error) {
	b, err := f.Buckets.Open(ctx, d)
	return fileSystem{b}, err
}

// TestReplacedAtTheLastMoment puts another file in the place of the one that was looked at,
// right before it is deleted or, where no condition counts, looked at again.
func TestReplacedAtTheLastMoment(t *testing.T) {
	for name, ignored := range conditioned {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{Ignore: ignored})
			r.account.Fill(bucket, 10, old, "a.backup")
			r.sync()
			r.delete("nothing") // learns the conditions
			looks := 0
			r.set(func(_ int, what string) error {
				if what == "stat" {
					looks++
				}
				if looks == 2 && what == "stat" || looks == 1 && strings.HasPrefix(what, "delete") {
					r.put("a.backup", "of the same 10 bytes"[:10])
				}
				return nil
			}, nil)
			if o := r.delete("a.backup")["a.backup"]; o.Deleted || !errors.Is(o.Err, ErrChanged) {
				t.Errorf("outcome %+v", o)
			}
			if keys := r.keys(""); len(keys) != 1 {
				t.Errorf("left: %q", keys)
			}
		})
	}
}

// TestOtherNamesOfANeededFile asks for a file under names that some servers take for it.
func TestOtherNamesOfANeededFile(t *testing.T) {
	for name, ignored := range conditioned {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{Ignore: ignored})
			r.deleter.config.Buckets = fileSystems{r.deleter.config.Buckets}
			r.account.Fill(bucket, 10, old, "a/linked.backup", "a/orphan.backup")
			r.backups("a/linked.backup")
			check := func() {
				t.Helper()
				names := []string{"b/../a/linked.backup", "a//linked.backup", "a/./linked.backup", "/a/linked.backup", "a/linked.backup/"}
				for name, o := range r.delete(names...) {
					// What a server may list as the needed file is linked, too.
					if o.Deleted || !errors.Is(o.Err, ErrNotFound) && !errors.Is(o.Err, catalog.ErrNotOrphan) {
						t.Errorf("%q: %+v", name, o)
					}
				}
			}
			check()
			r.sync()
			check()
			if len(r.keys("")) != 2 {
				t.Fatalf("left: %q", r.keys(""))
			}
			if o := r.delete("a/orphan.backup")["a/orphan.backup"]; !o.Deleted {
				t.Errorf("the orphan: %+v", o)
			}
		})
	}
}
