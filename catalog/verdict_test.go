package catalog

import (
	"bytes"
	"testing"

	pb "firescan/catalog/catalogpb"
)

// TestVerdictEnds: after the first outcome a node has no verdict, so a slow node does not
// seem to differ from the others.
func TestVerdictEnds(t *testing.T) {
	c := openTest(t)
	apply(t, c, &pb.PutDestination{Create: true, Destination: &pb.Destination{Org: "o", Id: "d", Name: "d", Type: TypeS3, Bucket: "bucket1"}})
	m := &pb.BeginDelete{Org: "o", DestinationId: "d", Id: "del_1", Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte("a"), []byte("b")}}
	want := NewVerdict(m, apply(t, c, m))
	verdict := func() (v Verdict, ended bool) {
		if err := c.View(func(tx *Tx) (err error) {
			v, ended, err = tx.Verdict("o", "del_1")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return v, ended
	}
	if v, ended := verdict(); ended || !bytes.Equal(v.Digest, want.Digest) {
		t.Errorf("the open deletion: %x, ended %v", v.Digest, ended)
	}
	apply(t, c, &pb.FinishDelete{Org: "o", Id: "del_1", At: 2, Outcomes: []*pb.Outcome{{Path: []byte("a"), Deleted: true, Held: true}}})
	if _, ended := verdict(); !ended {
		t.Error("after an outcome that holds a path, the verdict is not ended")
	}
	finish(t, c, "o", "del_1")
	if _, ended := verdict(); !ended {
		t.Error("after the last outcome, the verdict is not ended")
	}
}
