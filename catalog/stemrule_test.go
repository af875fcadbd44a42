package catalog

import (
	"fmt"
	"testing"

	pb "firescan/catalog/catalogpb"
)

// TestStemRuleDecides: by known suffixes a record links only files that differ in them. The rule
// is that of the record's destination, whichever destination deletes.
func TestStemRuleDecides(t *testing.T) {
	c := openTest(t)
	d, other := testDestination("o", "d"), testDestination("o", "other")
	d.StemRule = pb.StemRule_KNOWN_SUFFIX
	mustPut(t, c, d, true)
	mustPut(t, c, other, true)
	putBackup(t, c, "o", &pb.Backup{Id: "bkp", StorageId: "d", StoragePath: []byte("app.example.com-2024.backup"), Files: [][]byte{[]byte("app.part")}})
	n := 0
	deletable := func(dest, path string) bool {
		t.Helper()
		n++
		id := fmt.Sprint("del_", n)
		res := apply(t, c, &pb.BeginDelete{Org: "o", DestinationId: dest, Id: id, Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte(path)}})
		if res.GetCode() != "" {
			t.Fatal(res)
		}
		if len(res.GetRejected()) == 0 {
			apply(t, c, &pb.FinishDelete{Org: "o", Id: id, At: 1})
		}
		return len(res.GetRejected()) == 0
	}
	for _, dest := range []string{"d", "other"} {
		for path, want := range map[string]bool{
			"app.example.com-2024.backup": false, "app.example.com-2024.meta.json.gz": false, "app.part": false,
			"app.other.net-2023.backup": true, "app.example.com-2024.backup.001": true,
		} {
			if got := deletable(dest, path); got != want {
				t.Errorf("%s: %q can be deleted: %v, want %v", dest, path, got, want)
			}
		}
	}
	owner := func(path string) (found bool) {
		if err := c.View(func(tx *Tx) (err error) {
			_, found, err = tx.Owner(BucketID(d), "o", []byte(path))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if !owner("app.example.com-2024.meta") || owner("app.other.net-2023.backup") {
		t.Error("the owner of a file is found by another rule than the one that links it")
	}

	// While a file is being deleted, the record cannot begin to link it by another rule.
	begin := &pb.BeginDelete{Org: "o", DestinationId: "other", Id: "del_open", Node: "n/1", At: 1, Revision: 1, Paths: [][]byte{[]byte("app.other.net-2023.backup")}}
	if res := apply(t, c, begin); len(res.GetRejected()) > 0 {
		t.Fatal(res)
	}
	d.StemRule = pb.StemRule_FIRST_DOT
	for what, command := range map[string]*pb.Result{
		"an edit":    apply(t, c, &pb.PutDestination{Destination: d}),
		"a deletion": apply(t, c, &pb.DeleteDestination{Org: "o", Id: "d"}),
	} {
		if command.GetCode() != CodeBeingDeleted {
			t.Errorf("%s that makes records link more: %v, want %s", what, command, CodeBeingDeleted)
		}
	}
	apply(t, c, &pb.FinishDelete{Org: "o", Id: "del_open", At: 1})
	mustPut(t, c, d, false)
	if deletable("other", "app.other.net-2023.backup") {
		t.Error("by the first dot the record links the file, which could be deleted")
	}
}

// TestStemRuleVersion: a destination without the rule is encoded as before.
func TestStemRuleVersion(t *testing.T) {
	d := testDestination("o", "d")
	for rule, want := range map[pb.StemRule]uint32{pb.StemRule_FIRST_DOT: 1, pb.StemRule_KNOWN_SUFFIX: 2} {
		d.StemRule = rule
		m := &pb.PutDestination{Destination: d}
		if c, _ := find(func(c command) bool { return c.number == 1 }); versionOf(c, m) != want {
			t.Errorf("%v has version %d, want %d", rule, versionOf(c, m), want)
		}
	}
	d.StemRule = 7
	if res := apply(t, openTest(t), &pb.PutDestination{Destination: d, Create: true}); res.GetCode() != CodeInvalid {
		t.Errorf("an unknown rule: %v", res)
	}
}
