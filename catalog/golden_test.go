package catalog

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "firescan/catalog/catalogpb"
)

var update = flag.Bool("update", false, "write golden files that are missing; an existing one never changes")

// goldenCommands has every command with every field set, in the order of their numbers.
func goldenCommands() []proto.Message {
	return []proto.Message{
		&pb.PutDestination{Create: true, BaseUpdatedAt: 1700000000123, Destination: &pb.Destination{
			Org: "org", Id: "storage_1", Name: "n", Type: TypeS3, Bucket: "b", Path: "p", Region: "r", Endpoint: "http://e", Verified: true,
			Sealed: map[string][]byte{"b": {2}, "a": {1}}, Masked: map[string]string{"b": "2", "a": "1"}, CreatedAt: 1, UpdatedAt: 2, Revision: 3,
		}},
		&pb.DeleteDestination{Org: "org", Id: "storage_1"},
		&pb.SetVerified{Org: "org", Id: "storage_1", Verified: true, At: 1, Revision: 2},
		&pb.PutRecords{Org: "org", Records: []*pb.Record{
			{Kind: &pb.Record_Project{Project: &pb.Project{Org: "org", Id: "p", Name: "n"}}},
			{Kind: &pb.Record_Backup{Backup: &pb.Backup{
				Org: "org", Id: "b", StorageId: "s", ProjectId: "p", Status: "completed", Size: 1, Collections: []string{"c"}, CreatedAt: 2,
				StoragePath: []byte("a/\x00b.backup"), Files: [][]byte{[]byte("f")},
			}}},
			{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Org: "org", Id: "s", StorageId: "s", ProjectId: "p", Name: "n", Enabled: true, CronExpression: "* * * * *"}}},
			{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Org: "org", Id: "p", StorageId: "s", ProjectId: "p", Enabled: true, Status: "active", Prefix: []byte("x/")}}},
		}},
		&pb.DeleteRecords{Org: "org", Kind: KindBackup, Ids: []string{"a", "b"}, IfVersion: "v"},
		&pb.PutToken{Token: &pb.Token{Id: "t", Hash: []byte("h"), Org: "org", Role: "admin", Name: "n", CreatedAt: 1}},
		&pb.DeleteToken{Id: "t"},
		&pb.PutKeyset{Keyset: []byte("k"), Replaces: []byte("o")},
		&pb.StartSync{Org: "org", DestinationId: "storage_1", SyncId: "sync_1", At: 1},
		&pb.SealSegments{SyncId: "sync_1", Segments: []*pb.Segment{{
			Id: "g", Start: []byte("a"), End: []byte("b"), Files: 1, Bytes: 2, Orphans: 3, Missing: 4, ClassifiedAt: 5, Checksum: 6, FileSize: 7, Node: "n",
		}}},
		&pb.PromoteSync{SyncId: "sync_1", At: 1, Baseline: true},
		&pb.FinishSync{SyncId: "sync_1", Status: SyncFailed, Error: "e", At: 1},
		&pb.BeginDelete{
			Org: "org", DestinationId: "storage_1", Id: "del_1", Who: "w", Node: "n", At: 1, Revision: 2,
			BackupIds: []string{"b"}, Paths: [][]byte{[]byte("a/\x00b.backup")},
		},
		&pb.FinishDelete{Org: "org", Id: "del_1", At: 1, DeleteBackups: []string{"b"}, Outcomes: []*pb.Outcome{
			{Path: []byte("a/\x00b.backup"), Deleted: true, Size: 2, Reason: "r"},
		}},
		&pb.Migrate{Org: "org", FromId: "storage_1", ToId: "storage_2", At: 1},
		&pb.StoreAnswer{Org: "org", Key: "k", Fingerprint: []byte("f"), Status: 201, Body: []byte("{}"), At: 1},
		&pb.SetConditions{Org: "org", Id: "storage_1", Revision: 1, Single: true, Batch: true, At: 2},
		&pb.Reseal{Org: "org", Id: "storage_1", Sealed: map[string][]byte{"b": {2}, "a": {1}}, BaseUpdatedAt: 1},
		&pb.SetHolder{Node: "n", DestinationId: "storage_1", Generation: "sync_1", Whole: true},
		&pb.ForgetNode{Node: "n"},
		&pb.UnsealSegments{SyncId: "sync_1", Ids: []string{"seg_1"}},
		&pb.SetBucketRelation{BucketId: "s3/a/b", OtherId: "s3//b", Same: true, At: 1},
		&pb.ProveAccess{Org: "org", Id: "storage_1", Revision: 1, Credentials: []byte("c"), At: 1},
		&pb.SetGuards{Org: "org", At: 1, Import: goldenImport(), Cleanup: &pb.CleanupReport{DestinationId: "storage_1", Files: 9, Orphans: 2, Confirmed: true}},
		&pb.SetKeyMapping{Org: "org", Id: "storage_1", Revision: 1, Mapping: &pb.KeyMapping{
			LeadingSlash: pb.KeyMapping_EXACT, DoubleSlash: pb.KeyMapping_FOLDED, DotSegment: pb.KeyMapping_EITHER, Backslash: pb.KeyMapping_EXACT,
			Composed: pb.KeyMapping_EXACT, Decomposed: pb.KeyMapping_FOLDED, ProbedAt: 2,
		}},
		&pb.RecordAudit{Keep: 9, KeepBytes: 99, Entries: []*pb.AuditEntry{{
			Org: "org", Id: "aud_1", At: 1, Actor: "tok_1", Role: "admin", Action: "sync.start", DestinationId: "storage_1", Target: "t",
			Address: "::1", RequestId: "r", Outcome: "CONFLICT", Count: 2, Numbers: map[string]uint64{"syncs": 1},
		}}},
	}
}

func goldenImport() *pb.ImportReport {
	return &pb.ImportReport{Id: "imp_1", Records: 3, Ended: true, Refused: []uint64{1}, Unresolved: []uint64{2}, Others: 4, Reasons: []string{"r"}}
}

// golden compares bytes with a file, which -update makes if there is none.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%v (a new command or version? go test ./catalog -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the bytes of a released version have changed:\n%x\nwant\n%x", path, got, want)
	}
}

// TestGoldenCommands: logs that exist must be read as they were written.
func TestGoldenCommands(t *testing.T) {
	all := goldenCommands()
	later := map[uint32]proto.Message{ // fields of newer versions, see TestGoldenVersions
		1: &pb.PutDestination{KeepPlace: true}, 2: &pb.DeleteDestination{At: 1}, 12: &pb.FinishSync{Cause: "c"},
		11: &pb.PromoteSync{Moved: true}, 13: &pb.BeginDelete{BelowNamed: true}, 16: &pb.StoreAnswer{Forget: []string{"j"}},
	}
	if len(all) != len(commands()) {
		t.Fatalf("%d golden commands for %d commands", len(all), len(commands()))
	}
	for i, m := range all {
		c := commands()[i]
		if name := m.ProtoReflect().Descriptor().FullName(); c.name != name {
			t.Fatalf("command %d is %s, its golden message %s", c.number, c.name, name)
		}
		data := mustEncode(t, m)
		golden(t, fmt.Sprintf("%02d_%s.v%d", c.number, c.name.Name(), versionOf(c, m)), data)
		back, err := decode(Entry{Index: 1, Data: data})
		if err != nil || !proto.Equal(back.message, m) || back.once != nil {
			t.Errorf("%s came back as %v, %v", c.name, back, err)
		}
		everyFieldSet(t, m, later[c.number])
	}
}

// TestGoldenVersions is TestGoldenCommands for content that only newer versions understand.
func TestGoldenVersions(t *testing.T) {
	ref := &pb.Reference{Kind: pb.Reference_PREFIX, Key: []byte("a/"), BucketId: "s3//c"}
	located := proto.CloneOf(ref)
	located.Location = 1
	m := &pb.PutRecords{Org: "org", Records: []*pb.Record{{Kind: &pb.Record_Backup{Backup: &pb.Backup{
		Org: "org", Id: "b", StorageId: "s", StoragePath: []byte("s3://c/a/"), References: []*pb.Reference{ref},
	}}}}}
	written := proto.CloneOf(m)
	written.Records[0].GetBackup().References, written.Records[0].GetBackup().Revision = []*pb.Reference{located}, 2
	held := &pb.Outcome{Path: []byte("a"), Deleted: true, Size: 2, Reason: "r", Held: true}
	full := &pb.Outcome{Path: []byte("a//b"), Deleted: true, Size: 2, Reason: "r", Held: true, Versioned: true, Retained: true}
	moved := goldenCommands()[0].(*pb.PutDestination)
	moved.Create, moved.KeepPlace = false, true
	sealed := goldenCommands()[9].(*pb.SealSegments)
	sealed.Segments[0].MissingIds = []uint64{1, 2}
	for name, m := range map[string]proto.Message{
		"01_PutDestination.v2": &pb.PutDestination{Destination: &pb.Destination{
			Org: "org", Id: "storage_1", Type: TypeS3, Bucket: "b", StemRule: pb.StemRule_KNOWN_SUFFIX,
		}},
		"04_PutRecords.v2":    m,
		"04_PutRecords.v3":    &pb.PutRecords{Org: "org", Records: []*pb.Record{{IfVersion: "v", Kind: m.Records[0].Kind}}},
		"05_DeleteRecords.v1": &pb.DeleteRecords{Org: "org", Kind: KindBackup, Ids: []string{"a", "b"}},
		"14_FinishDelete.v2":  &pb.FinishDelete{Org: "org", Id: "del_1", At: 1, Outcomes: []*pb.Outcome{held}},
		"11_PromoteSync.v1":   &pb.PromoteSync{SyncId: "sync_1", At: 1},
		"11_PromoteSync.v3":   &pb.PromoteSync{SyncId: "sync_1", At: 1, Baseline: true, Moved: true},
		"14_FinishDelete.v3":  &pb.FinishDelete{Org: "org", Id: "del_1", At: 1, Outcomes: []*pb.Outcome{full}},
		"13_BeginDelete.v2": &pb.BeginDelete{
			Org: "org", DestinationId: "storage_1", Id: "del_1", Who: "w", Node: "n", At: 1, Revision: 2, Paths: [][]byte{[]byte("a//b")},
		},
		"13_BeginDelete.v3": &pb.BeginDelete{
			Org: "org", DestinationId: "storage_1", Id: "del_1", Who: "w", Node: "n", At: 1, Revision: 2, Paths: [][]byte{[]byte("a/b")}, BelowNamed: true,
		},
		"01_PutDestination.v3":    moved,
		"02_DeleteDestination.v2": &pb.DeleteDestination{Org: "org", Id: "storage_1", At: 1},
		"04_PutRecords.v4":        written,
		"10_SealSegments.v2":      sealed,
		"06_PutToken.v2":          &pb.PutToken{Token: &pb.Token{Id: "t", Hash: []byte("h"), Role: "metrics", Name: "n", CreatedAt: 1}},
		"16_StoreAnswer.v2":       &pb.StoreAnswer{Org: "org", Key: "k", Fingerprint: []byte("f"), Status: 201, Body: []byte("{}"), At: 1, Forget: []string{"j", "i"}},
		"12_FinishSync.cause":     &pb.FinishSync{SyncId: "sync_1", Status: SyncFailed, Error: "e", At: 1, Cause: "credentials"},
	} {
		data := mustEncode(t, m)
		golden(t, name, data)
		back, err := decode(Entry{Index: 1, Data: data})
		if err != nil || !proto.Equal(back.message, m) {
			t.Errorf("%s came back as %v, %v", name, back, err)
		}
	}
	everyFieldSet(t, located)
	everyFieldSet(t, goldenImport())
	everyFieldSet(t, full)
}

// TestGoldenOnce is TestGoldenCommands for a command that takes effect once.
func TestGoldenOnce(t *testing.T) {
	m, once := &pb.DeleteToken{Id: "t"}, &pb.Once{Org: "org", Key: "k", Fingerprint: []byte("f"), At: 1}
	data, err := EncodeOnce(m, once)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "once.v1", data)
	back, err := decode(Entry{Index: 1, Data: data})
	if err != nil || !proto.Equal(back.message, m) || !proto.Equal(back.once, once) {
		t.Errorf("it came back as %v, %v", back, err)
	}
	everyFieldSet(t, once)
}

// everyFieldSet makes sure that a new field cannot escape the golden bytes.
func everyFieldSet(t *testing.T, m proto.Message, later ...proto.Message) {
	t.Helper()
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		isSet := slices.ContainsFunc(later, func(m proto.Message) bool { return m != nil && m.ProtoReflect().Has(f) })
		if !isSet && !m.ProtoReflect().Has(f) {
			t.Errorf("golden message %T does not set %s", m, f.Name())
		}
	}
}

// TestGoldenNumbers: a number is never reused, nor made ignorable by accident.
func TestGoldenNumbers(t *testing.T) {
	seen := map[uint32]bool{}
	var list bytes.Buffer
	for _, c := range commands() {
		if seen[c.number] || c.number == 0 || c.version == 0 {
			t.Errorf("command %s has number %d, version %d", c.name, c.number, c.version)
		}
		seen[c.number] = true
		fmt.Fprintf(&list, "%d %s\n", c.number, c.name)
	}
	path := filepath.Join("testdata", "numbers.txt")
	released, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(list.Bytes(), released) {
		t.Errorf("commands may only be appended:\n%s\nbegins otherwise than\n%s", &list, released)
	} else if *update {
		err = os.WriteFile(path, list.Bytes(), 0o644)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
}

// TestGoldenSnapshotHeader: snapshots that exist must be restorable.
func TestGoldenSnapshotHeader(t *testing.T) {
	want := SnapshotInfo{Version: formatVersion, Index: 2, Term: 3, Size: 4}
	header := appendHeader(nil, want)
	golden(t, fmt.Sprintf("snapshot_header.v%d", formatVersion), header)
	for want.Version = range uint32(formatVersion) {
		want.Version++
		header, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("snapshot_header.v%d", want.Version)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ReadSnapshotInfo(bytes.NewReader(header)); err != nil || got != want {
			t.Errorf("read %+v, %v, want %+v", got, err, want)
		}
	}
}

// goldenLog is applied to make the golden state.
func goldenLog(t *testing.T) []Entry {
	t.Helper()
	d := testDestination("org", "storage_1")
	d.Sealed, d.Masked = map[string][]byte{"secretAccessKey": {1}}, map[string]string{"accessKeyId": "AKIA...XXXX"}
	records := goldenCommands()[3].(*pb.PutRecords)
	records.Records[1].GetBackup().StorageId = d.Id
	records.Records[2].GetSchedule().StorageId = d.Id
	records.Records[3].GetPitr().StorageId = d.Id
	token := &pb.Token{Id: "t", Hash: HashToken("x"), Org: "org", Role: "admin"}
	segment := &pb.Segment{Id: "g", Files: 1, ClassifiedAt: 2}
	later := proto.CloneOf(records.Records[1])
	later.GetBackup().Id = "later"
	orphan := [][]byte{[]byte("orphan")}
	second := proto.CloneOf(d)
	second.Id = "storage_2"
	var entries []Entry
	for _, m := range []proto.Message{
		// The first nine are the log of format version 1 (TestUpgrade).
		&pb.PutDestination{Destination: d, Create: true}, &pb.StartSync{Org: "org", DestinationId: d.Id, SyncId: "sync_1"},
		records, &pb.PutToken{Token: token}, &pb.PutKeyset{Keyset: []byte("k")},
		&pb.SealSegments{SyncId: "sync_1", Segments: []*pb.Segment{segment}}, &pb.PromoteSync{SyncId: "sync_1"},
		&pb.PutRecords{Org: "org", Records: []*pb.Record{later}}, &pb.StartSync{Org: "org", DestinationId: d.Id, SyncId: "sync_2"},

		&pb.SetHolder{Node: "n", DestinationId: d.Id, Generation: "sync_1", Whole: true},
		&pb.SetConditions{Org: "org", Id: d.Id, Revision: 1, Single: true, At: 2},
		&pb.Reseal{Org: "org", Id: d.Id, Sealed: map[string][]byte{"secretAccessKey": {2}}},
		&pb.BeginDelete{Org: "org", DestinationId: d.Id, Id: "del_1", Who: "w", Node: "n", At: 1, Revision: 1, BackupIds: []string{"b"}, Paths: orphan},
		&pb.FinishDelete{Org: "org", Id: "del_1", At: 2, DeleteBackups: []string{"b"}},
		&pb.BeginDelete{Org: "org", DestinationId: d.Id, Id: "del_2", Revision: 1, Paths: orphan},
		&pb.FinishDelete{Org: "org", Id: "del_2", At: 2, Outcomes: []*pb.Outcome{{Path: orphan[0], Deleted: true, Size: 3}}},
		&pb.BeginDelete{Org: "org", DestinationId: d.Id, Id: "del_3", Revision: 1, Paths: append(orphan, []byte("a/\x00b.backup"))},
		&pb.PutDestination{Destination: second, Create: true},
		&pb.Migrate{Org: "org", FromId: d.Id, ToId: second.Id},
		&pb.StoreAnswer{Org: "org", Key: "k", Fingerprint: []byte("f"), Status: 201, Body: []byte("{}"), At: 1},
	} {
		entries = append(entries, Entry{Index: uint64(len(entries) + 1), Term: 1, Data: mustEncode(t, m)})
	}
	once, err := EncodeOnce(&pb.StartSync{Org: "org", DestinationId: second.Id, SyncId: "sync_3"}, &pb.Once{Org: "org", Key: "l", At: 2})
	if err != nil {
		t.Fatal(err)
	}
	entries = append(entries, Entry{Index: uint64(len(entries) + 1), Term: 1, Data: once})
	// The entries so far are the log of format version 2.
	digest := CredentialsDigest(&pb.Destination{Sealed: map[string][]byte{"secretAccessKey": {2}}})
	prove := &pb.ProveAccess{Org: "org", Id: d.Id, Revision: 1, Credentials: digest, At: 3}
	guards := &pb.SetGuards{Org: "org", At: 4, Import: goldenImport(), Cleanup: &pb.CleanupReport{DestinationId: d.Id, Files: 9, Orphans: 2}}
	third, kept := proto.CloneOf(d), proto.CloneOf(later)
	third.Id, third.Bucket = "storage_3", "moved"
	kept.GetBackup().Id, kept.GetBackup().StorageId, kept.GetBackup().Revision = "kept", third.Id, 1
	elsewhere := proto.CloneOf(third)
	elsewhere.Bucket = "elsewhere"
	fourth := proto.CloneOf(second)
	fourth.Id = "storage_4"
	buried := proto.CloneOf(kept)
	buried.GetBackup().Id, buried.GetBackup().StorageId = "buried", fourth.Id
	for _, m := range []proto.Message{
		prove, guards,
		&pb.PutDestination{Destination: third, Create: true},
		&pb.PutRecords{Org: "org", Records: []*pb.Record{kept}},
		&pb.PutDestination{Destination: elsewhere, KeepPlace: true},
		&pb.PutDestination{Destination: fourth, Create: true},
		&pb.PutRecords{Org: "org", Records: []*pb.Record{buried}},
		&pb.DeleteDestination{Org: "org", Id: fourth.Id, At: 3},
	} {
		entries = append(entries, Entry{Index: uint64(len(entries) + 1), Term: 1, Data: mustEncode(t, m)})
	}
	return entries
}

// TestGoldenState: what a log leads to is the same in every build of one format
// version, since the nodes of a cluster run several while it is upgraded.
func TestGoldenState(t *testing.T) {
	c := openTest(t)
	results, err := c.Apply(goldenLog(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Code != "" {
			t.Errorf("golden entry %d: %v", i+1, r)
		}
	}
	golden(t, fmt.Sprintf("state.v%d.txt", formatVersion), []byte(dump(t, c)))
}
