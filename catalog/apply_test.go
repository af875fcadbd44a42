package catalog

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "firescan/catalog/catalogpb"
)

func envelope(tb testing.TB, number, version uint32, payload []byte) []byte {
	tb.Helper()
	data, err := proto.Marshal(&pb.Envelope{Number: number, Version: version, Payload: payload})
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestUnknownCommandStops(t *testing.T) {
	for _, e := range []struct{ number, version uint32 }{{0, 1}, {99, 1}, {1, 99}, {1, 0}, {1, withOnce | 1}} {
		c := openTest(t)
		good := mustEncode(t, &pb.PutDestination{Destination: testDestination("o", "d"), Create: true})
		_, err := c.Apply([]Entry{{Index: 1, Data: good}, {Index: 2, Data: envelope(t, e.number, e.version, nil)}})
		unknown, ok := errors.AsType[*UnknownCommandError](err)
		if !ok || unknown.Index != 2 || unknown.Number != e.number || !strings.Contains(err.Error(), "upgrade this node") {
			t.Errorf("command %d in version %d: %v", e.number, e.version, err)
		}
		if c.AppliedIndex() != 0 {
			t.Errorf("the batch was applied in part, up to %d", c.AppliedIndex())
		}
	}
}

func TestUndecodableEntryStops(t *testing.T) {
	for _, data := range [][]byte{{0xff}, envelope(t, 1, 1, []byte{0xff})} {
		c := openTest(t)
		if _, err := c.Apply([]Entry{{Index: 7, Data: data}}); err == nil || !strings.Contains(err.Error(), "entry 7") {
			t.Errorf("%x: %v", data, err)
		}
	}
}

// TestFullDisk: a batch that cannot be written is not applied, and can be later.
func TestFullDisk(t *testing.T) {
	c := openTest(t)
	order := make([]int, 5_000)
	for i := range order {
		order[i] = i
	}
	entries := benchEntries(t, len(order), order)
	before := dump(t, c)
	c.db.MaxSize = 64 << 10
	if _, err := c.Apply(entries); err == nil || c.AppliedIndex() != 0 {
		t.Fatalf("applied up to %d without room: %v", c.AppliedIndex(), err)
	}
	if dump(t, c) != before {
		t.Error("a batch that failed changed something")
	}
	c.db.MaxSize = 0
	if _, err := c.Apply(entries); err != nil {
		t.Fatal(err)
	}
	if c.AppliedIndex() != uint64(len(entries)) {
		t.Errorf("applied up to %d of %d", c.AppliedIndex(), len(entries))
	}
}

func TestIgnoredEntriesAdvance(t *testing.T) {
	c := openTest(t)
	results, err := c.Apply([]Entry{{Index: 3}, {Index: 9, Term: 2, Data: envelope(t, ignorable|99, 5, []byte("?"))}})
	if err != nil || len(results) != 2 || results[1].Code != "" {
		t.Fatalf("%v, %v", results, err)
	}
	if s, err := c.Snapshot(); err != nil || s.Index != 9 || s.Term != 2 || c.AppliedIndex() != 9 {
		t.Errorf("snapshot %+v of %d, %v", s, c.AppliedIndex(), err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	if _, err := Encode(&emptypb.Empty{}); err == nil {
		t.Error("encoded a message that is not a command")
	}
	if _, err := Encode(&pb.PutKeyset{Keyset: make([]byte, MaxEntry)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("encoded too much: %v", err)
	}
	if _, err := Encode(&pb.DeleteToken{Id: "\xff"}); err == nil {
		t.Error("encoded an id that no node could decode")
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, m := range goldenCommands() {
		data, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	c := openTest(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		// It is refused or applied, and never brings the node down.
		index := c.AppliedIndex() + 1
		if _, err := c.Apply([]Entry{{Index: index, Data: data}}); err == nil && c.AppliedIndex() != index {
			t.Errorf("applied up to %d, want %d", c.AppliedIndex(), index)
		}
	})
}

func TestRejectedRecords(t *testing.T) {
	c := openTest(t)
	mustPut(t, c, testDestination("o", "d"), true)
	long := bytes.Repeat([]byte("k"), maxKey+1)
	backup := func(b *pb.Backup) *pb.Record { return &pb.Record{Kind: &pb.Record_Backup{Backup: b}} }
	bad := []*pb.Record{
		{},
		backup(&pb.Backup{StorageId: "d"}),
		backup(&pb.Backup{Id: "a\x00b", StorageId: "d"}),
		backup(&pb.Backup{Id: strings.Repeat("x", maxID+1), StorageId: "d"}),
		backup(&pb.Backup{Id: "b", StorageId: "d", Size: -1}),
		backup(&pb.Backup{Id: "b", StorageId: "d", StoragePath: long}),
		backup(&pb.Backup{Id: "b", StorageId: "d", Files: [][]byte{long}}),
		backup(&pb.Backup{Id: "b", StorageId: "d", Files: [][]byte{{}}}),
		backup(&pb.Backup{Id: "b", StorageId: "none"}),
		backup(&pb.Backup{Id: "b"}),
		{Kind: &pb.Record_Pitr{Pitr: &pb.Pitr{Id: "p", StorageId: "d"}}},
		{Kind: &pb.Record_Schedule{Schedule: &pb.Schedule{Id: "s", StorageId: "none"}}},
	}
	records := append([]*pb.Record{backup(&pb.Backup{Id: "z", StorageId: "d"})}, bad...)
	records = append(records, backup(&pb.Backup{Id: "a", StorageId: "d", StoragePath: long[:maxKey]}))
	r := apply(t, c, &pb.PutRecords{Org: "o", Records: records})
	if len(r.Rejected) != len(bad) {
		t.Fatalf("%d rejected of %d: %v", len(r.Rejected), len(bad), r.Rejected)
	}
	for i, x := range r.Rejected {
		if int(x.Index) != i+1 || x.Code == "" || x.Message == "" {
			t.Errorf("rejection %d: %v", i, x)
		}
	}
	err := c.View(func(tx *Tx) error {
		n, err := tx.Counters("o", "d")
		if n != (Counters{Backups: 2}) {
			t.Errorf("counters %+v", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRefusedCommands(t *testing.T) {
	c := openTest(t)
	destination := func(change func(*pb.Destination)) proto.Message {
		d := testDestination("o", "d")
		change(d)
		return &pb.PutDestination{Destination: d, Create: true}
	}
	hash := HashToken("x")
	for _, m := range []proto.Message{
		&pb.PutDestination{},
		destination(func(d *pb.Destination) { d.Org = "" }),
		destination(func(d *pb.Destination) { d.Id = "" }),
		destination(func(d *pb.Destination) { d.Type = "ftp" }),
		destination(func(d *pb.Destination) { d.Bucket = "" }),
		destination(func(d *pb.Destination) { d.Bucket = "a\x00" }),
		destination(func(d *pb.Destination) { d.Path = "/a" }),
		destination(func(d *pb.Destination) { d.Region = "\x00" }),
		&pb.PutRecords{}, &pb.DeleteRecords{Kind: KindBackup}, &pb.DeleteRecords{Org: "o", Kind: "?"},
		&pb.PutToken{}, &pb.PutToken{Token: &pb.Token{Id: "t", Hash: hash, Role: "admin"}},
		&pb.PutToken{Token: &pb.Token{Id: "t", Hash: hash, Role: "root", Org: "o"}},
		&pb.PutToken{Token: &pb.Token{Id: "t", Hash: hash, Role: "?", Org: "o"}},
		&pb.PutToken{Token: &pb.Token{Id: "", Hash: hash, Role: "root"}},
		&pb.BeginDelete{Id: "i"}, &pb.BeginDelete{Org: "o"}, &pb.BeginDelete{Org: "o", Id: "i", Paths: make([][]byte, MaxDeletes+1)},
		&pb.BeginDelete{Org: "o", Id: "i", BackupIds: make([]string, MaxDeletes+1)}, &pb.BeginDelete{Org: "o", Id: "i", Who: "\x00"},
		&pb.Migrate{Org: "o", FromId: "d", ToId: "d"}, &pb.StoreAnswer{Org: "o", Key: "k"}, &pb.StoreAnswer{Org: "o", Status: 200},
		&pb.StoreAnswer{Org: "o", Key: "k", Status: 200, At: -1}, &pb.StoreAnswer{Org: "\x00", Key: "k", Status: 200},
		&pb.SetHolder{Node: "n"}, &pb.SetHolder{DestinationId: "d", Generation: "g"}, &pb.ForgetNode{},
		&pb.PutKeyset{}, &pb.FinishSync{SyncId: "s", Status: SyncCompleted},
	} {
		before := dump(t, c)
		if r := apply(t, c, m); r.Code != CodeInvalid || !errors.Is(ResultError(r), ErrInvalid) {
			t.Errorf("%T %v: %v", m, m, r)
		}
		after := dump(t, c)
		if cut(before) != cut(after) {
			t.Errorf("%T %v was refused and changed something", m, m)
		}
	}
}

// cut takes the applied index out of a dump.
func cut(dump string) string {
	var kept []string
	for line := range strings.Lines(dump) {
		if !strings.Contains(line, metaApplied) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestChanged(t *testing.T) {
	c := openTest(t)
	before := c.Changed()
	select {
	case <-before:
		t.Fatal("closed before anything changed")
	default:
	}
	mustPut(t, c, testDestination("o", "d"), true)
	<-before
	select {
	case <-c.Changed():
		t.Fatal("the next channel is closed already")
	default:
	}
}

func TestClosedCatalog(t *testing.T) {
	c := openTest(t)
	s, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err1 := c.Apply([]Entry{{Index: 1}})
	_, err2 := c.Snapshot()
	_, err3 := s.WriteTo(&bytes.Buffer{})
	for _, err := range []error{err1, err2, err3, c.View(func(*Tx) error { return nil })} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("a closed catalog returns %v", err)
		}
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	path := filepath.Join(t.TempDir(), "catalog.db")
	c, err := Open(path, Options{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path+"2", Options{Registerer: registry}); err == nil {
		t.Error("two catalogs share one registry")
	}
	mustPut(t, c, testDestination("o", "d"), true)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	for _, name := range []string{
		"firescan_catalog_applied_index", "firescan_catalog_apply_batch_entries", "firescan_catalog_apply_seconds", "firescan_catalog_file_bytes",
	} {
		if got[name] < 1 {
			t.Errorf("%s = %v", name, got[name])
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := registry.Gather(); len(left) > 0 || err != nil {
		t.Errorf("metrics of a closed catalog: %v, %v", left, err)
	}
}
