package catalog

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "firescan/catalog/catalogpb"
)

// TestRecordVersion: the version changes with each field that the feed writes, and with
// nothing else.
func TestRecordVersion(t *testing.T) {
	for _, r := range goldenCommands()[3].(*pb.PutRecords).Records {
		version := RecordVersion(r)
		if RecordVersion(proto.CloneOf(r)) != version {
			t.Errorf("%v has two versions", r)
		}
		kind := r.ProtoReflect().Descriptor().Oneofs().Get(0)
		fields := r.ProtoReflect().WhichOneof(kind).Message().Fields()
		for i := range fields.Len() {
			changed := proto.CloneOf(r)
			m := changed.ProtoReflect().Mutable(changed.ProtoReflect().WhichOneof(kind)).Message()
			f := fields.Get(i)
			if !m.Has(f) {
				continue // a field that firescan adds
			}
			m.Clear(f)
			want := f.Name() != "org" // a record is read within its organization
			if got := RecordVersion(changed) != version; got != want {
				t.Errorf("without %s the version of %v changes: %v, want %v", f.Name(), kindOf(r), got, want)
			}
		}
	}
	derived := &pb.Backup{Id: "b", StoragePath: []byte("/a")}
	plain := RecordVersion(&pb.Record{Kind: &pb.Record_Backup{Backup: derived}})
	derived.References = []*pb.Reference{{Key: []byte("a")}}
	if RecordVersion(&pb.Record{Kind: &pb.Record_Backup{Backup: derived}}) != plain {
		t.Error("the version depends on the references, which depend on the destinations")
	}
	a := &pb.Backup{Collections: []string{"a", "b"}, Files: [][]byte{[]byte("c")}}
	b := &pb.Backup{Collections: []string{"a"}, Files: [][]byte{[]byte("b"), []byte("c")}}
	if RecordVersion(&pb.Record{Kind: &pb.Record_Backup{Backup: a}}) == RecordVersion(&pb.Record{Kind: &pb.Record_Backup{Backup: b}}) {
		t.Error("collections and files are mixed up")
	}
}

func kindOf(r *pb.Record) protoreflect.Name {
	return r.ProtoReflect().WhichOneof(r.ProtoReflect().Descriptor().Oneofs().Get(0)).Name()
}

// TestSameRecordIsNotWritten: an import that is sent again changes nothing.
func TestSameRecordIsNotWritten(t *testing.T) {
	c := openTest(t)
	apply(t, c, &pb.PutDestination{Create: true, Destination: testDestination("org", "s")})
	m := goldenCommands()[3].(*pb.PutRecords)
	apply(t, c, m)
	before := dump(t, c)
	tx, err := c.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	waiting := changes{}
	if _, err := putRecords(&writeTx{read: &Tx{tx: tx}, index: 9, changes: waiting}, m); err != nil {
		t.Fatal(err)
	}
	if len(waiting) > 0 {
		t.Errorf("the same records again write %v", waiting)
	}
	if after := dump(t, c); after != before {
		t.Errorf("the same records again change the state:\n%s\n%s", before, after)
	}
}
