package deletion

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
	"firescan/provider/mem"
)

// unusual are keys that some servers list under another name.
var unusual = []string{
	"/lead2.backup", "a//dbl.backup", `back\slash.backup`, "./dot.backup", "x/./in.backup", "x/../up.backup",
	"caf\u00e9.backup", "cafe\u0301s.backup", "plain/k.backup", "//deep//er.backup",
}

func everyType(r *deleteRig) CleanupRequest {
	req := r.cleanupRequest()
	req.Before = time.Now().Add(time.Minute).UnixMilli()
	req.Types = append(slices.Clone(req.Types), index.Unknown)
	return req
}

// TestServersThatRename: on a server that lists files under other names than they were stored
// with, neither a cleanup nor a request by either name deletes what a record names, and
// orphans are deleted.
func TestServersThatRename(t *testing.T) {
	for _, server := range append(mem.Renamings(), mem.Renaming{Server: "none"}) {
		for _, asFiles := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, as files %v", server.Server, asFiles), func(t *testing.T) {
				r := newDeleteRig(t, mem.Options{Renaming: server, Now: func() time.Time { return old }})
				var stored []string
				for i, key := range unusual {
					if r.refuses(key) {
						continue
					}
					stored = append(stored, key)
					b := &pb.Backup{Org: org, Id: fmt.Sprint("bkp", i), StorageId: destID, Status: "completed", CreatedAt: 1, StoragePath: []byte(key)}
					if asFiles {
						b.StoragePath, b.Files = nil, [][]byte{[]byte(key)}
					}
					r.putResolved(b)
				}
				orphans := uint64(1)
				if r.put("orphan.backup", "x"); !r.refuses("o//rphan.meta") {
					orphans++
				}
				r.sync()
				listed := r.keys("")
				plan, err := r.deleter.Plan(t.Context(), everyType(r))
				if err != nil || plan.Files != orphans {
					t.Fatalf("plan %+v, %v; want %d orphans", plan, err, orphans)
				}
				for path, o := range r.delete(slices.Concat(stored, listed)...) {
					if o.Deleted && !strings.Contains(path, "rphan") {
						t.Errorf("%q was deleted", path)
					}
				}
				r.put("orphan.backup", "x")
				r.sync()
				req := everyType(r)
				if plan, err = r.deleter.Plan(t.Context(), req); err != nil || plan.Meets(GuardMissing) {
					t.Fatalf("plan %+v, %v; every record responds", plan, err)
				}
				req.Confirm = plan.Hash
				if _, err := r.deleter.Cleanup(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				if left := r.keys(""); len(left) != len(stored) {
					t.Errorf("left: %q", left)
				}
				r.agree()
			})
		}
	}
}

// refuses stores an object, and reports whether the server refuses its key.
func (r *deleteRig) refuses(key string) bool {
	r.t.Helper()
	err := r.account.Bucket(bucket).Put(r.t.Context(), key, []byte(key))
	if err != nil && provider.KindOf(err) != provider.Invalid {
		r.t.Fatal(err)
	}
	return err != nil
}

// TestUnknownRenaming: a server renames in a way that nobody knows. The record is missing, so
// its key is looked up; it responds, and the file that is the same object is kept.
func TestUnknownRenaming(t *testing.T) {
	server := mem.Renaming{Server: "unknown", Store: func(key string) string {
		if strings.Contains(key, "firescan") {
			return key
		}
		return strings.ReplaceAll(key, "-", "_")
	}}
	for name, ignored := range conditioned {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{Renaming: server, Ignore: ignored, Now: func() time.Time { return old }})
			r.put("a-b.backup", "needed")
			r.putResolved(&pb.Backup{Org: org, Id: "b1", StorageId: destID, CreatedAt: 1, StoragePath: []byte("a-b.backup")})
			r.putResolved(&pb.Backup{Org: org, Id: "b2", StorageId: destID, CreatedAt: 1, StoragePath: []byte("really/gone.backup")})
			r.sync()
			o := r.delete("a_b.backup")["a_b.backup"]
			if o.Deleted || o.Err != ErrUnlisted { //nolint:errorlint // it is returned as it is
				t.Fatalf("%+v", o)
			}
			req := everyType(r)
			plan, err := r.deleter.Plan(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			req.Confirm = plan.Hash // it is the only file
			if res, err := r.deleter.Cleanup(t.Context(), req); err != nil || res.Deleted != 0 || res.Failed != 1 {
				t.Fatalf("%+v, %v", res, err)
			}
			if left := r.keys(""); !slices.Equal(left, []string{"a_b.backup"}) {
				t.Errorf("left: %q", left)
			}
			if n := len(r.audit()); n == 0 {
				t.Error("no audit")
			}
		})
	}
}

// TestLookupFails: where records without a listed file cannot be looked up, what has the name
// of one is kept, and other orphans are not. A request that is refused as invalid is no lookup.
func TestLookupFails(t *testing.T) {
	for _, kind := range []provider.Kind{provider.Unavailable, provider.Invalid} {
		t.Run(kind.String(), func(t *testing.T) { testLookupFails(t, kind) })
	}
}

func testLookupFails(t *testing.T, kind provider.Kind) {
	t.Helper()
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	r.put("here/k.backup", "x")
	r.put("other.backup", "y")
	r.putResolved(&pb.Backup{Org: org, Id: "b1", StorageId: destID, CreatedAt: 1, StoragePath: []byte("there/K.backup")})
	r.sync()
	r.set(func(_ int, what string) error {
		if what == "stat" {
			return &provider.Error{Kind: kind, Op: "stat", Reason: "down"}
		}
		return nil
	}, nil)
	op := &operation{deleter: r.deleter, destination: r.destination(destID), bucket: steppedBucket{r.account.Bucket(bucket), r.steps}}
	err := op.findUnseen(t.Context())
	u := op.unseen
	if err != nil || u == nil {
		t.Fatalf("%+v, %v", u, err)
	}
	file := func(path string) *candidate {
		return &candidate{path: []byte(path), seen: &provider.Info{Key: path, Size: 1, Tag: "t"}}
	}
	for _, c := range []struct {
		path    string
		deleted []string
		want    keeper
	}{
		{"here/k.backup", nil, keptByOwn},
		{"other.backup", nil, keptByNobody},
		{"here/k.backup", []string{"b1"}, keptByNobody},
	} {
		if got := u.keeps(file(c.path), org, c.deleted); got != c.want {
			t.Errorf("%+v: %v, of %+v", c, got, u)
		}
	}
}

// TestVersionedBucket: what only became a marker has freed no space, and is recorded so.
func TestVersionedBucket(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Versioned: true, Now: func() time.Time { return old }})
	r.mixed()
	r.put("backup.backup", "12345")
	r.backup("bkp", "backup.backup")
	r.sync()
	res, err := r.deleter.Cleanup(t.Context(), r.cleanupRequest())
	if err != nil || res.Deleted != 2 || res.Versioned != 2 || res.Bytes != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, o := range r.audit()[0].Outcomes {
		if !o.Versioned || !o.Deleted || o.Size != 7 {
			t.Errorf("audit: %v", o)
		}
	}
	backups, err := r.deleter.DeleteBackups(t.Context(), BackupsRequest{Destination: r.destination(destID), IDs: []string{"bkp"}, Files: true})
	if err != nil || backups.Files != 1 || backups.Versioned != 1 || backups.Bytes != 0 {
		t.Errorf("%+v, %v", backups, err)
	}
	if o := r.delete("orphans/3.txt")["orphans/3.txt"]; !o.Deleted || !o.Versioned || o.Freed() != 0 {
		t.Errorf("%+v", o)
	}
}

// TestRetainedFiles: files under retention are an outcome of a cleanup, not a failure.
func TestRetainedFiles(t *testing.T) {
	var faults mem.Faults
	faults.Delete = func(_ context.Context, _, key string) error {
		if key == "orphans/1.backup" {
			return &provider.Error{Kind: provider.Retained, Op: "delete", Reason: "the object is under retention or a legal hold"}
		}
		return nil
	}
	r := newDeleteRig(t, mem.Options{Faults: faults})
	r.mixed()
	r.sync()
	res, err := r.deleter.Cleanup(t.Context(), r.cleanupRequest())
	if err != nil || res.Deleted != 1 || res.Retained != 1 || res.Failed != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if len(r.intents()) != 0 || r.catalogMarks("orphans/1.backup") {
		t.Error("a retained file is still marked")
	}
	if o := r.delete("orphans/1.backup")["orphans/1.backup"]; o.Deleted || !o.Retained() {
		t.Errorf("%+v", o)
	}
}

// catalogMarks reports whether a path is marked.
func (r *deleteRig) catalogMarks(path string) (marked bool) {
	r.t.Helper()
	if err := r.catalog.View(func(tx *catalog.Tx) error {
		marked = tx.Marked(catalog.BucketID(r.destination(destID)), []byte(path))
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return marked
}
