package api

import (
	"context"
	"errors"
	"strings"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/catalog/catalogtest"
	"firescan/provider"
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

// TestVerifyComparesSamples: where the credentials may not write, the first objects show
// whether two destinations are one bucket, and without any the reason is in the response.
func TestVerifyComparesSamples(t *testing.T) {
	r := newRig(t, mem.Options{Faults: mem.Faults{Put: mem.Always(provider.Denied, "put")}})
	a, b := catalogtest.Destination(org, "storage_a", "backups-bucket"), catalogtest.Destination(org, "storage_b", "backups-bucket")
	a.Endpoint, b.Endpoint = "http://127.0.0.1:9000", "http://localhost:9000"
	r.replog.Put(a)
	r.replog.Put(b)
	verify := func() *response {
		t.Helper()
		res := r.do(catalog.RoleMember, "POST", "/api/v1/storage/destinations/storage_b/verify", "")
		if res.status != 200 {
			t.Fatalf("verify returned %d %s", res.status, res.raw)
		}
		return res
	}
	if res := verify(); res.at("data", "unsettled") == nil || !strings.Contains(string(res.raw), `"storageId":"storage_a"`) || !strings.Contains(string(res.raw), "no objects") {
		t.Errorf("an empty bucket: %s", res.raw)
	}
	check := func() (aliases []string, err error) {
		err = r.node.Catalog.View(func(tx *catalog.Tx) (err error) {
			aliases, err = tx.CheckIdentity(a)
			return err
		})
		return aliases, err
	}
	if _, err := check(); !errors.Is(err, catalog.ErrUnsettled) {
		t.Errorf("after it: %v", err)
	}
	r.account.Fill("backups-bucket", 1, r.now, "a.backup", "b.backup")
	if res := verify(); res.at("data", "unsettled") != nil {
		t.Errorf("a bucket with objects: %s", res.raw)
	}
	if aliases, err := check(); err != nil || len(aliases) != 1 {
		t.Errorf("after it: %q, %v", aliases, err)
	}
}

// TestVerifyDistrustsServersOfOthers: a server of another organization that claims to have
// every object is not the same bucket, and one that cannot be asked has no name.
func TestVerifyDistrustsServersOfOthers(t *testing.T) {
	r := newRig(t, mem.Options{})
	mine, theirs := catalogtest.Destination(org, "storage_a", "backups-bucket"), catalogtest.Destination("stranger", "storage_s", "backups-bucket")
	mine.Endpoint, theirs.Endpoint = "http://127.0.0.1:9000", "http://liar:9000"
	r.replog.Put(mine)
	r.replog.Put(theirs)
	theirs = catalogtest.Read(r.replog, func(tx *catalog.Tx) (*pb.Destination, error) { return tx.Destination("stranger", "storage_s") })
	peers := func() int {
		return len(catalogtest.Read(r.replog, func(tx *catalog.Tx) ([]catalog.BucketPeer, error) { return tx.BucketPeers(mine) }))
	}
	if peers() != 0 {
		t.Error("a destination that never listed its bucket counts")
	}
	r.replog.Must(&pb.ProveAccess{Org: "stranger", Id: "storage_s", Revision: 1, Credentials: catalog.CredentialsDigest(theirs), At: 1})
	if peers() != 1 {
		t.Error("one that has does not count")
	}
	r.account.Fill("backups-bucket", 1, r.now, "a.backup")
	r.liar = "http://liar:9000"
	res := r.owner("POST", "/api/v1/storage/destinations/storage_a/verify", "")
	aliases := catalogtest.Read(r.replog, func(tx *catalog.Tx) ([]string, error) { return tx.CheckIdentity(mine) })
	if len(aliases) != 0 || res.at("data", "unsettled") != nil {
		t.Errorf("a liar counts as %q: %s", aliases, res.raw)
	}
}

// liar is a bucket that claims to have whatever it is asked for.
type liar struct{ provider.Bucket }

func (liar) Stat(_ context.Context, key string) (provider.Info, error) {
	return provider.Info{Key: key, Size: 60, Tag: "d41d8cd98f00b204e9800998ecf8427e"}, nil
}
