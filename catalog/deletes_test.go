package catalog

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

// deleting begins the deletion "del" of some orphans of destination "d" of "o".
func deleting(t *testing.T, c *Catalog, paths ...string) {
	t.Helper()
	if got := begin(t, c, &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del", Revision: 1}, paths...); len(got) > 0 {
		t.Fatalf("rejected %v", got)
	}
}

// begin gives what was rejected, as "path code".
func begin(t *testing.T, c *Catalog, m *pb.BeginDelete, paths ...string) (rejected []string) {
	t.Helper()
	for _, p := range paths {
		m.Paths = append(m.Paths, []byte(p))
	}
	r := apply(t, c, m)
	if r.Code != "" {
		t.Fatal(r)
	}
	for _, x := range r.Rejected {
		if x.Message == "" {
			t.Errorf("%q was rejected without a reason", m.Paths[x.Index])
		}
		rejected = append(rejected, string(m.Paths[x.Index])+" "+x.Code)
	}
	return rejected
}

// finish ends a deletion of which all was deleted.
func finish(t *testing.T, c *Catalog, org, id string, backups ...string) *pb.Result {
	t.Helper()
	m := &pb.FinishDelete{Org: org, Id: id, At: 9, DeleteBackups: backups}
	err := c.View(func(tx *Tx) error {
		intents, err := tx.Intents()
		for _, n := range intents {
			for _, p := range n.Paths {
				if n.Id == id {
					m.Outcomes = append(m.Outcomes, &pb.Outcome{Path: p, Deleted: true, Size: 5})
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return apply(t, c, m)
}

func oneBackup(b *pb.Backup) *pb.PutRecords {
	return &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: b}}}}
}

func onePitr(storage, prefix string) *pb.PutRecords {
	p := &pb.Pitr{Id: "p-" + storage + prefix, StorageId: storage, Prefix: []byte(prefix)}
	return &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: p}}}}
}

// TestMarkedPathsCannotBeLinked tries each way in which a record comes to link a file,
// while the file is being deleted and afterwards.
func TestMarkedPathsCannotBeLinked(t *testing.T) {
	elsewhere := func(id string) *pb.Destination {
		d := testDestination("o", id)
		d.Bucket = "elsewhere"
		return d
	}
	for name, claim := range map[string]struct {
		before  []proto.Message
		command proto.Message
		allowed bool
	}{
		"storage path":           {command: oneBackup(&pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("a/x.backup")})},
		"storage path, its stem": {command: oneBackup(&pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("a/x")})},
		"storage path, a stem":   {command: oneBackup(&pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("a/x.meta")})},
		"storage path, bare":     {command: oneBackup(&pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("a/bare.gz")})},
		"files":                  {command: oneBackup(&pb.Backup{Id: "b", StorageId: "d", Files: [][]byte{[]byte("ok"), []byte("a/x.backup")}})},
		"prefix":                 {command: onePitr("d", "a/")},
		"another destination":    {[]proto.Message{&pb.PutDestination{Create: true, Destination: testDestination("o", "e")}}, onePitr("e", "a/x"), false},
		"a record moved": {
			[]proto.Message{&pb.PutDestination{Create: true, Destination: elsewhere("e")}, oneBackup(&pb.Backup{Id: "b", StorageId: "e", StoragePath: []byte("a/x.gz")})},
			oneBackup(&pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("a/x.gz")}), false,
		},
		"migrate": {
			[]proto.Message{&pb.PutDestination{Create: true, Destination: elsewhere("e")}, onePitr("e", "0/"), onePitr("e", "a/")},
			&pb.Migrate{Org: "o", FromId: "e", ToId: "d"}, false,
		},
		"a destination with backups moves in": {
			[]proto.Message{&pb.PutDestination{Create: true, Destination: elsewhere("e")}, oneBackup(&pb.Backup{Id: "b", StorageId: "e"})},
			&pb.PutDestination{Destination: testDestination("o", "e")}, false,
		},
		"a destination with PITR moves in": {
			[]proto.Message{&pb.PutDestination{Create: true, Destination: elsewhere("e")}, onePitr("e", "a/")},
			&pb.PutDestination{Destination: testDestination("o", "e")}, false,
		},
		"a destination with records comes back": {
			[]proto.Message{
				&pb.PutDestination{Create: true, Destination: elsewhere("e")}, oneBackup(&pb.Backup{Id: "b", StorageId: "e"}),
				&pb.DeleteDestination{Org: "o", Id: "e"},
			},
			&pb.PutDestination{Create: true, Destination: testDestination("o", "e")}, false,
		},
		"another stem":        {command: oneBackup(&pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("a/x-1.backup")}), allowed: true},
		"a folder of a stem":  {command: oneBackup(&pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("f.backup")}), allowed: true},
		"a file beside it":    {command: oneBackup(&pb.Backup{Id: "b", StorageId: "d", Files: [][]byte{[]byte("a/x.meta")}}), allowed: true},
		"another prefix":      {command: onePitr("d", "a/x.backup/"), allowed: true},
		"another bucket":      {[]proto.Message{&pb.PutDestination{Create: true, Destination: elsewhere("e")}}, onePitr("e", "a/"), true},
		"schedules migrate":   {[]proto.Message{&pb.PutDestination{Create: true, Destination: elsewhere("e")}}, &pb.Migrate{Org: "o", FromId: "e", ToId: "d"}, true},
		"an empty one moves":  {[]proto.Message{&pb.PutDestination{Create: true, Destination: elsewhere("e")}}, &pb.PutDestination{Destination: testDestination("o", "e")}, true},
		"its own name is new": {command: &pb.PutDestination{Destination: testDestination("o", "d")}, allowed: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := openTest(t)
			mustPut(t, c, testDestination("o", "d"), true)
			for _, m := range claim.before {
				if r := apply(t, c, m); r.Code != "" || len(r.Rejected) > 0 {
					t.Fatal(r)
				}
			}
			deleting(t, c, "a/x.backup", "a/bare", "f.d/y.backup")
			tried := func() string {
				r := apply(t, c, claim.command)
				if len(r.Rejected) > 0 {
					return r.Rejected[0].Code
				}
				return r.Code
			}
			before := cut(dump(t, c))
			if code := tried(); claim.allowed && code != "" || !claim.allowed && code != CodeBeingDeleted {
				t.Errorf("while the files are being deleted: %q", code)
			}
			if !claim.allowed && cut(dump(t, c)) != before {
				t.Error("it was refused and changed something")
			}
			if claim.allowed {
				return
			}
			if r := finish(t, c, "o", "del"); r.Code != "" {
				t.Fatal(r)
			}
			if code := tried(); code != "" {
				t.Errorf("after they were: %q", code)
			}
		})
	}
}

// TestLinkedPathsAreNotMarked: links of every organization on the bucket count, under
// whatever name they know it.
func TestLinkedPathsAreNotMarked(t *testing.T) {
	c := openTest(t)
	mine, theirs := testDestination("o", "d"), testDestination("o2", "d2")
	mine.Type, mine.Path = TypeGCS, "a"
	theirs.Type = TypeFirebase
	mustPut(t, c, mine, true)
	mustPut(t, c, theirs, true)
	putBackup(t, c, "o2", &pb.Backup{Id: "b", StorageId: "d2", StoragePath: []byte("a/x.backup"), Files: [][]byte{[]byte("a/y.1")}})
	putBackup(t, c, "o", &pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("a/z.backup"), Files: [][]byte{[]byte("out/z"), []byte("a/y.1")}})
	apply(t, c, &pb.PutRecords{Org: "o2", Records: []*pb.Record{{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: "p", StorageId: "d2", Prefix: []byte("a/pitr/")}}}}})

	paths := []string{"a/x.meta", "a/y.1", "a/y.2", "a/z.auth", "a/pitr/1", "b/1", "", "a/free", "out/z"}
	want := []string{
		"a/x.meta FILE_NOT_ORPHAN", "a/y.1 FILE_NOT_ORPHAN", "a/z.auth FILE_NOT_ORPHAN", "a/pitr/1 FILE_NOT_ORPHAN",
		"b/1 INVALID", " INVALID", "out/z INVALID",
	}
	orphans := &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "orphans", Revision: 1}
	if got := begin(t, c, orphans, paths...); !slices.Equal(got, want) {
		t.Errorf("rejected %q, want %q", got, want)
	}
	// A backup of the same name of another organization still protects.
	backups := &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "backups", Revision: 1, BackupIds: []string{"b"}}
	want = []string{
		"a/x.meta FILE_NOT_ORPHAN", "a/y.1 FILE_NOT_ORPHAN", "a/y.2 PATH_BEING_DELETED", "a/pitr/1 FILE_NOT_ORPHAN",
		"b/1 INVALID", " INVALID", "a/free PATH_BEING_DELETED",
	}
	if got := begin(t, c, backups, paths...); !slices.Equal(got, want) {
		t.Errorf("rejected with a backup %q, want %q", got, want)
	}
	err := c.View(func(tx *Tx) error {
		for path, marked := range map[string]bool{"a/y.2": true, "a/free": true, "a/z.auth": true, "out/z": true, "a/x.meta": false, "a": false, "": false} {
			if tx.Marked(BucketID(theirs), []byte(path)) != marked || tx.Marked("s3//other", []byte(path)) {
				t.Errorf("%q is marked: %t", path, !marked)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestABackupThatMoved: a record that was put elsewhere while its file is deleted is not the
// one that was to go.
func TestABackupThatMoved(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o", "d"), true)
	other := testDestination("o", "d2")
	other.Bucket = "other"
	mustPut(t, c, other, true)
	putBackup(t, c, "o", &pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("x.backup")})
	m := &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del", Who: "me", Node: "n", At: 3, Revision: 1, BackupIds: []string{"b"}}
	if got := begin(t, c, m, "x.backup"); len(got) > 0 {
		t.Fatal(got)
	}
	putBackup(t, c, "o", &pb.Backup{Id: "b", StorageId: "d2", StoragePath: []byte("x.backup")})
	r := apply(t, c, &pb.FinishDelete{Org: "o", Id: "del", At: 4, DeleteBackups: []string{"b"}, Outcomes: []*pb.Outcome{{Path: []byte("x.backup"), Deleted: true}}})
	if r.Code != "" || r.Deleted != 0 {
		t.Fatal(r)
	}
	wantLinks(t, c, "s3//other", "o b x.backup")
}

// TestDeleteABackup: files, record, links and what the index must know go in one command.
func TestDeleteABackup(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o", "d"), true)
	putBackup(t, c, "o", &pb.Backup{Id: "b", StorageId: "d", StoragePath: []byte("x.backup"), Files: [][]byte{[]byte("y")}})
	putBackup(t, c, "o", &pb.Backup{Id: "kept", StorageId: "d", StoragePath: []byte("z.backup")})
	apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: "s"})
	promote(t, c, "s")
	m := &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del", Who: "me", Node: "n", At: 3, Revision: 1, BackupIds: []string{"b"}}
	if got := begin(t, c, m, "x.backup", "x.meta", "y", "z.meta"); !slices.Equal(got, []string{"z.meta FILE_NOT_ORPHAN"}) {
		t.Fatal(got)
	}
	for _, refused := range []proto.Message{
		&pb.DeleteDestination{Org: "o", Id: "d"},
		&pb.PutDestination{Destination: &pb.Destination{Org: "o", Id: "d", Type: TypeS3, Bucket: "bucket", Path: "p"}},
		&pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del", Revision: 1, Paths: m.Paths},
		&pb.BeginDelete{Org: "o", DestinationId: "d", Id: "other", Revision: 2, Paths: m.Paths},
		&pb.FinishDelete{Org: "o2", Id: "del"},
	} {
		if err := ResultError(apply(t, c, refused)); !errors.Is(err, ErrConflict) {
			t.Errorf("%T while files are being deleted: %v", refused, err)
		}
	}
	if got := begin(t, c, m); !slices.Equal(got, []string{"z.meta FILE_NOT_ORPHAN"}) {
		t.Errorf("the same again: %v", got)
	}
	r := apply(t, c, &pb.FinishDelete{Org: "o", Id: "del", At: 4, DeleteBackups: []string{"b"}, Outcomes: []*pb.Outcome{
		{Path: []byte("x.backup"), Deleted: true, Size: 7}, {Path: []byte("y"), Reason: "it has changed"},
	}})
	if r.Code != "" || r.Deleted != 1 {
		t.Fatal(r)
	}
	wantLinks(t, c, "s3//bucket", "o kept z.backup")
	want := &pb.Audit{
		Org: "o", Id: "del", DestinationId: "d", BucketId: "s3//bucket", Who: "me", BegunAt: 3, FinishedAt: 4, BackupIds: []string{"b"},
		Outcomes: []*pb.Outcome{
			{Path: []byte("x.backup"), Deleted: true, Size: 7},
			{Path: []byte("y"), Reason: "it has changed"},
			{Path: []byte("x.meta"), Reason: "it was not tried"},
		},
	}
	err := c.View(func(tx *Tx) error {
		audits, err := tx.Audit("o", "", 0)
		if err != nil || len(audits) != 1 || !proto.Equal(audits[0], want) {
			t.Errorf("audit %v, want %v", audits, want)
		}
		deltas, err := tx.Deltas("s3//bucket", 0, 0)
		if err != nil || len(deltas) != 1 {
			t.Fatalf("deltas %v, %v", deltas, err)
		}
		if got := fmt.Sprintf("%s %s", deltas[0].Delta.Deleted, deltas[0].Delta.Stems); got != "[x.backup] [x y]" {
			t.Errorf("delta %s", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ended := range []proto.Message{m, &pb.FinishDelete{Org: "o", Id: "del", At: 4}} {
		if err := ResultError(apply(t, c, ended)); !errors.Is(err, ErrConflict) {
			t.Errorf("%T of what has ended: %v", ended, err)
		}
	}
}

// TestMigrateKeepsOldFiles: what a configuration wrote before it moved stays linked.
func TestMigrateKeepsOldFiles(t *testing.T) {
	c := openTest(t)
	elsewhere := testDestination("o", "e")
	elsewhere.Bucket = "elsewhere"
	mustPut(t, c, testDestination("o", "d"), true)
	mustPut(t, c, elsewhere, true)
	apply(t, c, onePitr("d", "pitr/"))
	for i := range 3 {
		s := &pb.Schedule{Id: fmt.Sprint(i), StorageId: "d", Name: "n"}
		apply(t, c, &pb.PutRecords{Org: "o", Records: []*pb.Record{{Kind: &pb.Record_Schedule{Schedule: s}}}})
	}
	if r := apply(t, c, &pb.Migrate{Org: "o", FromId: "d", ToId: "e"}); r.Schedules != 3 || r.Pitrs != 1 || r.Code != "" {
		t.Fatal(r)
	}
	if got := begin(t, c, &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "1", Revision: 1}, "pitr/1"); len(got) != 1 {
		t.Error("a file that the configuration wrote before may be deleted")
	}
	if got := begin(t, c, &pb.BeginDelete{Org: "o", DestinationId: "e", Id: "2", Revision: 1}, "pitr/1"); len(got) != 1 {
		t.Error("a file that the configuration writes may be deleted")
	}
	if r := apply(t, c, &pb.DeleteDestination{Org: "o", Id: "d"}); r.Code != "" {
		t.Errorf("a destination that everything has left: %v", r)
	}
}

// TestHeldPaths: a path on which a call may still act stays marked after its outcome, until
// all intents that hold it have released it.
func TestHeldPaths(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o", "d"), true)
	apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: "s"})
	promote(t, c, "s")
	intent := func(id string) *pb.BeginDelete {
		return &pb.BeginDelete{Org: "o", DestinationId: "d", Id: id, Who: "me", Node: "n", At: 3, Revision: 1}
	}
	outcome := func(path string, deleted, held bool) *pb.Outcome {
		return &pb.Outcome{Path: []byte(path), Deleted: deleted, Size: 5, Held: held}
	}
	end := func(id string, at int64, outcomes ...*pb.Outcome) {
		t.Helper()
		if err := ResultError(apply(t, c, &pb.FinishDelete{Org: "o", Id: id, At: at, Outcomes: outcomes})); err != nil {
			t.Fatal(err)
		}
	}
	marked := func(want ...string) {
		t.Helper()
		var got []string
		for _, path := range []string{"x.backup", "y.backup"} {
			r := apply(t, c, oneBackup(&pb.Backup{Id: "claim", StorageId: "d", StoragePath: []byte(path)}))
			if len(r.Rejected) > 0 && r.Rejected[0].Code == CodeBeingDeleted {
				got = append(got, path)
			}
			apply(t, c, &pb.DeleteRecords{Org: "o", Kind: KindBackup, Ids: []string{"claim"}})
		}
		if !slices.Equal(got, want) {
			t.Errorf("marked are %q, want %q", got, want)
		}
	}
	begin(t, c, intent("del1"), "x.backup", "y.backup")
	if got := begin(t, c, intent("del2"), "x.backup"); !slices.Equal(got, []string{"x.backup PATH_BEING_DELETED"}) {
		t.Errorf("a path without an outcome in another intent: %v", got)
	}
	twice := []*pb.Outcome{outcome("x.backup", false, true), outcome("y.backup", true, false)}
	end("del1", 4, twice...)
	marked("x.backup")
	end("del1", 5, twice...) // the first response was lost
	marked("x.backup")
	// A held path may be deleted again, and stays held by the first intent.
	if got := begin(t, c, intent("del3"), "x.backup"); len(got) > 0 {
		t.Fatal(got)
	}
	if got := begin(t, c, intent("del4"), "x.backup"); !slices.Equal(got, []string{"x.backup PATH_BEING_DELETED"}) {
		t.Errorf("a path without an outcome in a later intent: %v", got)
	}
	end("del3", 6, outcome("x.backup", true, false))
	marked("x.backup")
	// The late call did delete what was there.
	end("del1", 7, outcome("x.backup", true, false))
	marked()
	if err := c.View(func(tx *Tx) error {
		deltas, err := tx.Deltas("s3//bucket", 0, 0)
		var deleted []string
		for _, d := range deltas {
			for _, path := range d.Delta.Deleted {
				deleted = append(deleted, string(path))
			}
		}
		if want := []string{"y.backup", "x.backup", "x.backup"}; !slices.Equal(deleted, want) {
			t.Errorf("the index is to delete %q, want %q", deleted, want)
		}
		audits, _ := tx.Audit("o", "", 0)
		for _, a := range audits {
			for _, o := range a.Outcomes {
				if !o.Deleted || o.Held {
					t.Errorf("audit of %s: %v", a.Id, o)
				}
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestBeginAfterOutcome: once an outcome is recorded, the same command does not begin the
// intent again, although it may still be open with all its paths.
func TestBeginAfterOutcome(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o", "d"), true)
	apply(t, c, &pb.StartSync{Org: "o", DestinationId: "d", SyncId: "s"})
	promote(t, c, "s")
	m := &pb.BeginDelete{
		Org: "o", DestinationId: "d", Id: "del", Who: "me", Node: "n", At: 3, Revision: 1, Paths: [][]byte{[]byte("x.backup")},
	}
	for range 2 {
		if err := ResultError(apply(t, c, m)); err != nil {
			t.Fatal(err)
		}
	}
	for _, held := range []bool{true, false} {
		outcome := &pb.Outcome{Path: []byte("x.backup"), Held: held}
		if err := ResultError(apply(t, c, &pb.FinishDelete{Org: "o", Id: "del", At: 4, Outcomes: []*pb.Outcome{outcome}})); err != nil {
			t.Fatal(err)
		}
		if r := apply(t, c, m); r.Code != CodeConflict {
			t.Errorf("after the outcome with held %v: %v", held, r)
		}
	}
}
