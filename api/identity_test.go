package api

import (
	"strings"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
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

// TestEndpointsAreStoredInOneSpelling: another spelling of an endpoint is no other endpoint,
// and one that clients read differently is refused.
func TestEndpointsAreStoredInOneSpelling(t *testing.T) {
	r := newRig(t, mem.Options{})
	create := func(endpoint string) *response {
		return r.do(catalog.RoleOwner, "POST", "/api/v1/storage/destinations", strings.Replace(createBody, `"region"`, `"endpoint":"`+endpoint+`","region"`, 1))
	}
	created := create("HTTP://Allowed.example.com.:09000/")
	id, _ := created.at("data", "id").(string)
	if got := created.at("data", "endpoint"); got != "http://allowed.example.com:9000" {
		t.Fatalf("created %d %s", created.status, created.raw)
	}
	for _, endpoint := range []string{"http://allowed.example.com.:9000", "http://allowed.example.com:009000/"} {
		r.owner("PUT", "/api/v1/storage/destinations/"+id, `{"endpoint":"`+endpoint+`"}`)
		d := catalogtest.Read(r.replog, func(tx *catalog.Tx) (*pb.Destination, error) { return tx.Destination(org, id) })
		if d.Revision != 1 || d.Endpoint != "http://allowed.example.com:9000" {
			t.Errorf("after %s it is %v", endpoint, d)
		}
	}
	for _, endpoint := range []string{"http://0177.0.0.1:9000/allowed", "http://127.1/allowed", "http://2130706433/allowed", "http://allowed.example.com:99999"} {
		create(endpoint).refused(400, CodeValidation)
	}
}
