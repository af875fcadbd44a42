package deletion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/provider"
	"firescan/provider/mem"
)

// renaming lists objects under names that nobody knows the rule of.
var renaming = mem.Renaming{Server: "unknown", Store: func(key string) string {
	if strings.Contains(key, "firescan") {
		return key
	}
	return strings.ReplaceAll(key, "-", "_")
}}

// tenants are destinations of several organizations whose records name objects in one bucket.
type tenants struct {
	*deleteRig
	n           int
	bucket, org string
	needed      map[string]bool // names under which the objects of records are listed
	foreign     map[string]bool // those of other organizations
}

func (w *tenants) destination(name string) *pb.Destination {
	return catalogtest.Destination(w.org, fmt.Sprintf("%s%d", name, w.n), w.bucket)
}

func (w *tenants) sync(d *pb.Destination) { w.log.WaitSync(d.Org, w.log.StartSync(d.Org, d.Id)) }

func (w *tenants) isSynced(d *pb.Destination) bool {
	return catalogtest.Read(w.log, func(tx *catalog.Tx) (bool, error) {
		_, err := tx.Generation(d.Id)
		return err == nil, nil
	})
}

// write stores an object, and a record of it, with late after a scan has listed the object.
func (w *tenants) write(d *pb.Destination, key, location string, late bool) {
	if err := w.account.Bucket(w.bucket).Put(context.Background(), key, []byte("needed "+key)); err != nil {
		w.t.Fatal(err)
	}
	if late {
		w.sync(w.destination(""))
		if d.Id != w.destination("").Id {
			w.sync(d)
		}
	}
	b := catalogtest.Backup(d.Org, d.Id, "r "+key, location).GetBackup()
	b.CreatedAt = time.Now().Add(time.Minute).UnixMilli()
	all := catalogtest.Read(w.log, func(tx *catalog.Tx) ([]*pb.Destination, error) { return tx.KnownDestinations(d.Org) })
	if err := catalog.NewResolver(all).ResolveBackup(b); err != nil {
		w.t.Fatal(err)
	}
	w.log.Must(&pb.PutRecords{Org: d.Org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
	w.needed[renaming.Store(key)] = true
	w.foreign[renaming.Store(key)] = d.Org != w.org
}

// list returns the names of all objects.
func (w *tenants) list() (names []string) {
	w.t.Helper()
	var page provider.Page
	if err := w.account.Bucket(w.bucket).List(context.Background(), provider.ListRequest{}, &page); err != nil || page.More {
		w.t.Fatal(err, page.More)
	}
	for _, o := range page.Objects {
		names = append(names, string(o.Key))
	}
	return names
}

// another returns a destination that may be of another kind than the first one, with records
// of the given key.
func (w *tenants) another(t *rapid.T, kind, key string) {
	d, location := w.destination(kind), key
	d.Id += "-" + key
	d.Path = rapid.SampledFrom([]string{"", "q"}).Draw(t, "path")
	switch kind {
	case "alias":
		d.Endpoint = "http://127.0.0.1:9999"
	case "foreign":
		d.Org = w.org + "-foreign"
	case "elsewhere":
		d.Bucket, location = w.bucket+"-2", "s3://"+w.bucket+"/"+key
	}
	w.log.Put(d)
	d = catalogtest.Read(w.log, func(tx *catalog.Tx) (*pb.Destination, error) { return tx.Destination(d.Org, d.Id) })
	switch kind {
	case "alias":
		w.log.Must(&pb.SetBucketRelation{BucketId: catalog.BucketID(w.destination("")), OtherId: catalog.BucketID(d), Same: true, At: 1})
	case "foreign":
		w.log.Must(&pb.ProveAccess{Org: d.Org, Id: d.Id, Revision: d.Revision, Credentials: catalog.CredentialsDigest(d), At: time.Now().UnixMilli()})
	case "moved":
		defer func() {
			moved := proto.CloneOf(d)
			moved.Bucket = w.bucket + "-2"
			w.log.Must(&pb.PutDestination{Destination: moved, KeepPlace: true})
		}()
	case "deleted":
		defer func() { w.log.Must(&pb.DeleteDestination{Org: d.Org, Id: d.Id, At: 1}) }()
	}
	w.write(d, key, location, rapid.Bool().Draw(t, "late"))
	if rapid.Bool().Draw(t, "synced") {
		w.sync(d)
	}
}

// TestNoUnseenFileIsDeleted: the server lists objects under names that nobody knows, and
// records of all kinds of destinations name them. Whatever is deleted, and by whom, what a
// record names stays, and orphans go.
func TestNoUnseenFileIsDeleted(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Renaming: renaming, Now: func() time.Time { return old }})
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		w := &tenants{deleteRig: r, n: n, bucket: fmt.Sprint("bucket", n), org: fmt.Sprint("org", n), needed: map[string]bool{}, foreign: map[string]bool{}}
		for _, b := range []string{w.bucket, w.bucket + "-2"} {
			if err := r.account.CreateBucket(t.Context(), b, ""); err != nil {
				t.Fatal(err)
			}
		}
		d := w.destination("")
		w.log.Put(d)
		for _, orphan := range []string{"o-1.backup", "a/o-2.backup"} {
			if err := r.account.Bucket(w.bucket).Put(t.Context(), orphan, []byte(orphan)); err != nil {
				t.Fatal(err)
			}
		}
		for i, kind := range rapid.SliceOfN(rapid.SampledFrom([]string{"own", "beside", "alias", "foreign", "elsewhere", "moved", "deleted"}), 1, 3).Draw(t, "kinds") {
			key := rapid.SampledFrom([]string{"a/", "q/", ""}).Draw(t, "folder") + fmt.Sprintf("k-%d.backup", i)
			if kind == "own" {
				w.write(d, key, key, rapid.Bool().Draw(t, "late"))
			} else {
				w.another(t, kind, key)
			}
		}
		d = catalogtest.Read(w.log, func(tx *catalog.Tx) (*pb.Destination, error) { return tx.Destination(d.Org, d.Id) })
		if rapid.Bool().Draw(t, "cleanup") {
			synced := rapid.Bool().Draw(t, "synced last") || !w.isSynced(d)
			if synced {
				w.sync(d)
			}
			if kept := w.cleanUp(t, d); synced && kept != w.countForeign() {
				t.Errorf("%d files were kept for others, want %d", kept, w.countForeign())
			}
		} else {
			if rapid.Bool().Draw(t, "synced first") {
				w.sync(d)
			}
			req := FilesRequest{Destination: d, Who: "tok_1"}
			for _, p := range w.list() {
				req.Paths = append(req.Paths, []byte(p))
			}
			if _, err := r.deleter.DeleteFiles(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		left := w.list()
		for name := range w.needed {
			if !slices.Contains(left, name) {
				t.Errorf("%q is needed and was deleted", name)
			}
		}
		if len(left) != len(w.needed) {
			t.Errorf("left: %q; needed: %v", left, w.needed)
		}
	})
}

// cleanUp deletes all orphans and returns how many files were kept for others.
func (w *tenants) cleanUp(t *rapid.T, d *pb.Destination) uint64 {
	req := CleanupRequest{Destination: d, Who: "tok_1", Types: recognized, Before: time.Now().UnixMilli()}
	plan, err := w.deleter.Plan(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	req.Confirm = plan.Hash
	result, err := w.deleter.Cleanup(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return result.Skipped.KeptForOthers
}

func (w *tenants) countForeign() (n uint64) {
	for _, foreign := range w.foreign {
		if foreign {
			n++
		}
	}
	return n
}

// TestLookupsOfOthersFail: where the files of another organization's records cannot be looked
// up, what has the name of one is kept, and not counted as kept for the own.
func TestLookupsOfOthersFail(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	theirs := catalogtest.Destination("stranger", "storage_s", bucket)
	r.log.Put(theirs)
	r.log.PutBackups("stranger", "storage_s", "there/k.backup")
	theirs = catalogtest.Read(r.log, func(tx *catalog.Tx) (*pb.Destination, error) { return tx.Destination("stranger", "storage_s") })
	r.backup("own", "here/own.backup")
	r.put("here/own.backup", "x")
	r.put("here/k.backup", "y")
	r.sync()
	op := &operation{deleter: r.deleter, destination: r.destination(destID), bucket: steppedBucket{r.account.Bucket(bucket), r.steps}}
	r.set(func(_ int, what string) error {
		return &provider.Error{Kind: provider.Unavailable, Op: what, Reason: "down"}
	}, nil)
	// Proofs decide from the first one on; that of the own destination is one.
	own := r.destination(destID)
	r.log.Must(&pb.ProveAccess{
		Org: org, Id: destID, Revision: own.Revision, Credentials: catalog.CredentialsDigest(own), At: time.Now().UnixMilli(),
	})
	r.log.Must(&pb.ProveAccess{
		Org: "stranger", Id: "storage_s", Revision: theirs.Revision, Credentials: catalog.CredentialsDigest(theirs), At: time.Now().UnixMilli(),
	})
	err := op.findUnseen(t.Context())
	u := op.unseen
	if err != nil {
		t.Fatal(err)
	}
	file := &candidate{path: []byte("here/k.backup"), seen: &provider.Info{Size: 1, Tag: "t"}}
	if by := u.keeps(file, org, nil); by != keptByOthers {
		t.Errorf("a file of that name is kept by %v", by)
	}
}

// TestBackupsBeforeTheFirstSync: a backup that is deleted with its files leaves what another
// record means under another name; equal content alone keeps nothing that is listed.
func TestBackupsBeforeTheFirstSync(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Renaming: renaming, Now: func() time.Time { return old }})
	r.put("a-b.backup", "same")
	r.put("c.backup", "same")
	r.put("d.backup", "same")
	for _, name := range []string{"a-b.backup", "a_b.backup", "c.backup", "d.backup"} {
		r.backup(name, name)
	}
	got, files := r.deleteBackups(true, "a_b.backup")
	if got["a_b.backup"].Deleted || files != 0 || !errors.Is(got["a_b.backup"].Err, ErrUnlisted) {
		t.Errorf("the file of two records: %+v, %d files", got, files)
	}
	if got, files := r.deleteBackups(true, "a-b.backup", "a_b.backup"); !got["a-b.backup"].Deleted || !got["a_b.backup"].Deleted || files != 1 {
		t.Errorf("both records: %+v, %d files", got, files)
	}
	if got, files := r.deleteBackups(true, "d.backup"); !got["d.backup"].Deleted || files != 1 || !slices.Equal(r.keys(""), []string{"c.backup"}) {
		t.Errorf("a record of a listed file: %+v, %d files", got, files)
	}
}

// TestSeenByALookup: what responds to a lookup is not missing, so that a plan needs no
// confirmation for it.
func TestSeenByALookup(t *testing.T) {
	r := newDeleteRig(t, mem.Options{Renaming: renaming, Now: func() time.Time { return old }})
	r.fill(9)
	r.put("a-b.backup", "needed")
	r.put("orphan.backup", "x")
	r.backup("hidden", "a-b.backup")
	r.sync()
	plan, err := r.deleter.Plan(t.Context(), r.cleanupRequest())
	if err != nil || plan.Missing != 0 || len(plan.Guards) != 0 || plan.Files != 2 {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	r.backup("gone", "gone.backup")
	r.sync()
	plan, err = r.deleter.Plan(t.Context(), r.cleanupRequest())
	if err != nil || plan.Missing != 1 || !plan.Meets(GuardMissing) || !slices.Equal(plan.Guards[0].Examples, []string{"gone: gone.backup"}) {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	r.log.Must(&pb.DeleteRecords{Org: org, Kind: catalog.KindBackup, Ids: []string{"gone"}})
	done, err := r.deleter.Cleanup(t.Context(), r.cleanupRequest())
	if err != nil || done.Deleted != 1 || done.Failed != 1 || !slices.Contains(r.keys(""), "a_b.backup") {
		t.Errorf("cleanup %+v, %v; left %q", done, err, r.keys(""))
	}
}

// TestNamesInAnotherDestination: a record that names a file in another destination for good is
// seen there once that one was synced, and needs no confirmation; one that is gone does.
func TestNamesInAnotherDestination(t *testing.T) {
	for name, path := range map[string]string{"of a bucket": "", "of a folder": "p"} {
		t.Run(name, func(t *testing.T) { testNamesInAnotherDestination(t, path) })
	}
}

func testNamesInAnotherDestination(t *testing.T, path string) {
	t.Helper()
	r := newDeleteRig(t, mem.Options{Now: func() time.Time { return old }})
	own, other := r.destination(destID), catalogtest.Destination(org, "storage_2", "other")
	own.Path = path
	r.log.Must(&pb.PutDestination{Destination: own})
	r.log.Put(other)
	for i := range 9 {
		key := strings.TrimPrefix(fmt.Sprintf("%s/k%d.backup", path, i), "/")
		r.account.Fill(bucket, 10, old, key)
		r.backup(key, key)
	}
	r.account.Fill(bucket, 10, old, strings.TrimPrefix(path+"/orphan.backup", "/"))
	r.account.Fill("other", 10, old, "there.backup")
	names := func(key string) {
		b := catalogtest.Backup(org, destID, key, "s3://other/"+key).GetBackup()
		all := catalogtest.Read(r.log, func(tx *catalog.Tx) ([]*pb.Destination, error) { return tx.KnownDestinations(org) })
		if err := catalog.NewResolver(all).ResolveBackup(b); err != nil {
			t.Fatal(err)
		}
		r.log.Must(&pb.PutRecords{Org: org, Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}})
	}
	check := func(when string, lost uint64, guards ...string) {
		t.Helper()
		plan, err := r.deleter.Plan(t.Context(), r.cleanupRequest())
		if err != nil || plan.Missing+plan.NotLookedFor != lost || plan.Files != 1 {
			t.Fatalf("%s: plan %+v, %v", when, plan, err)
		}
		if met := r.met(r.cleanupRequest()); !slices.Equal(met, guards) {
			t.Errorf("%s: guards %v, want %v", when, met, guards)
		}
	}
	names("there.backup")
	r.sync()
	check("before the other sync", 1, GuardMissing)
	r.log.WaitSync(org, r.log.StartSync(org, other.Id))
	check("seen there", 0)
	names("gone.backup")
	r.sync()
	r.log.WaitSync(org, r.log.StartSync(org, other.Id))
	check("missing there", 1, GuardMissing)
}

// TestRecordsOfTheMeantime: a record that was written after the last scan, or while a deletion
// runs, may mean a file that the server lists under another name. Lookups from before do not
// show it.
func TestRecordsOfTheMeantime(t *testing.T) {
	for name, act := range map[string]func(r *deleteRig, during func()){
		"files": func(r *deleteRig, during func()) {
			during()
			if o := r.delete("a_b.backup")["a_b.backup"]; o.Deleted || !errors.Is(o.Err, ErrUnlisted) {
				r.t.Errorf("%+v", o)
			}
		},
		"backups": func(r *deleteRig, during func()) {
			r.backup("b", "a_b.backup")
			r.backup("c", "c.backup")
			if got, _ := r.deleteBackups(true, "c"); !got["c"].Deleted { // which looks up the young record, in vain
				r.t.Errorf("%+v", got)
			}
			during()
			if got, _ := r.deleteBackups(true, "b"); got["b"].Deleted {
				r.t.Errorf("%+v", got)
			}
		},
		"cleanup": func(r *deleteRig, during func()) {
			r.deleter.limits.paths, r.deleter.limits.singles = 1, 1
			r.set(func(_ int, what string) error { // after the batch of 0.backup
				if what == "FinishDelete" && during != nil {
					during()
					during = nil
				}
				return nil
			}, nil)
			req := r.cleanupRequest()
			plan, err := r.deleter.Plan(r.t.Context(), req)
			if err != nil {
				r.t.Fatal(err)
			}
			req.Confirm = plan.Hash
			if result, err := r.deleter.Cleanup(r.t.Context(), req); err != nil || result.Deleted != 1 || result.Failed != 1 {
				r.t.Errorf("%+v, %v", result, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newDeleteRig(t, mem.Options{Renaming: renaming, Now: func() time.Time { return old }})
			r.put("0.backup", "orphan")
			if name != "backups" {
				r.put("a-b.backup", "needed")
			}
			r.sync()
			write := func() {
				b := catalogtest.Backup(org, destID, "young", "a-b.backup").GetBackup()
				b.CreatedAt = time.Now().Add(time.Minute).UnixMilli()
				r.putResolved(b)
			}
			if name == "backups" {
				write()
				act(r, func() { r.put("a-b.backup", "needed") })
			} else {
				act(r, write)
			}
			if left := r.keys("a"); !slices.Equal(left, []string{"a_b.backup"}) {
				t.Errorf("left: %q", left)
			}
		})
	}
}
