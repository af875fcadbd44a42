package deletion

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"firescan/catalog"
	"firescan/catalog/catalogtest"
	"firescan/provider/mem"
)

// flipLink flips a bit of the link of "linked/5.backup" in the catalog file of the node that
// deletes. The keys stay in order, and a lookup does not meet the link anymore.
func (r *deleteRig) flipLink() {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(r.node.Dir, "catalog.db"), os.O_RDWR, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	data, err := os.ReadFile(f.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	link := []byte("linked/5\x00\x01")
	for at := bytes.Index(data, link); at >= 0; {
		if _, err := f.WriteAt([]byte{'4'}, int64(at+len("linked/"))); err != nil {
			r.t.Fatal(err)
		}
		next := bytes.Index(data[at+1:], link)
		if next < 0 {
			break
		}
		at += 1 + next
	}
}

// deleteNeeded tries to delete the needed file by its name.
func (r *deleteRig) deleteNeeded() error {
	r.t.Helper()
	outcomes, err := r.deleter.DeleteFiles(context.Background(), FilesRequest{
		Destination: r.destination(destID), Who: "tok_1", Paths: [][]byte{[]byte("linked/5.backup")},
	})
	if err == nil && len(outcomes) == 1 {
		err = outcomes[0].Err
	}
	return err
}

// wantKept fails if the needed file is gone or stays marked.
func (r *deleteRig) wantKept() {
	r.t.Helper()
	if keys := r.keys("linked/5"); len(keys) != 1 {
		r.t.Fatal("a needed file was deleted")
	}
	marked := func(c *catalog.Catalog) (is bool) {
		if err := c.View(func(tx *catalog.Tx) error {
			is = tx.Marked(catalog.BucketID(r.destination(destID)), []byte("linked/5.backup"))
			return nil
		}); err != nil {
			r.t.Fatal(err)
		}
		return is
	}
	for _, n := range r.log.Nodes() {
		// A follower may apply the end of the deletion later.
		for deadline := time.Now().Add(30 * time.Second); marked(n.Catalog); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				r.t.Fatalf("the needed file stays marked on %s", n.ID)
			}
		}
	}
}

// TestDamagedLinkAlone: case P16 on a single node. A lookup does not find the link, and the
// file is not deleted, since the records say otherwise.
func TestDamagedLinkAlone(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.mixed()
	r.sync()
	r.flipLink()
	if err := r.deleteNeeded(); !errors.Is(err, catalog.ErrCatalogDamaged) {
		t.Errorf("the error is %v", err)
	}
	if _, err := r.deleter.Cleanup(t.Context(), r.cleanupRequest()); !errors.Is(err, catalog.ErrCatalogDamaged) {
		t.Errorf("the error of a cleanup is %v", err)
	}
	r.wantKept()
}

// TestDamagedLinkOfThree: case P16 on three nodes, of which the damaged one decides. It was
// compared with its records before the damage, so only the other nodes notice.
func TestDamagedLinkOfThree(t *testing.T) {
	r := newDeleteRig(t, mem.Options{})
	r.log.Join("node2")
	r.log.Join("node3")
	r.mixed()
	r.sync()
	if err := r.catalog.Verify(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	r.flipLink()
	if err := r.deleteNeeded(); !errors.Is(err, catalogtest.ErrDissent) {
		t.Errorf("the error is %v", err)
	}
	r.wantKept() // waits until the intent is withdrawn
	r.deleter.Close()
	audit := r.audit()
	if len(audit) != 1 || len(audit[0].GetOutcomes()) != 1 || audit[0].GetOutcomes()[0].GetReason() == "" {
		t.Errorf("the audit is %v", audit)
	}
}
