package api

import (
	"strings"
	"testing"

	"firescan/catalog"
	"firescan/catalog/catalogtest"
	"firescan/provider/mem"
)

// TestVerifySettlesIdentity: two destinations under two endpoints that lead to one bucket are
// found to be one, and deletions in them are refused until then.
func TestVerifySettlesIdentity(t *testing.T) {
	r := newRig(t, mem.Options{})
	a, b := catalogtest.Destination(org, "storage_a", "backups-bucket"), catalogtest.Destination(org, "storage_b", "backups-bucket")
	a.Endpoint, b.Endpoint = "http://127.0.0.1:9000", "http://localhost:9000"
	r.replog.Put(a)
	r.replog.Put(b)
	identity := func() []string {
		t.Helper()
		var aliases []string
		if err := r.node.Catalog.View(func(tx *catalog.Tx) (err error) {
			aliases, err = tx.CheckIdentity(a)
			return err
		}); err != nil {
			return []string{err.Error()}
		}
		return aliases
	}
	if got := identity(); len(got) != 1 || !strings.Contains(got[0], "may be one bucket") {
		t.Fatalf("before a verification: %q", got)
	}
	if res := r.do(catalog.RoleMember, "POST", "/api/v1/storage/destinations/storage_b/verify", ""); res.status != 200 {
		t.Fatalf("verify returned %d %s", res.status, res.raw)
	}
	if got := identity(); len(got) != 1 || got[0] != catalog.BucketID(b) {
		t.Errorf("after it: %q, want the identity of the other destination", got)
	}
}
