package cluster

import (
	"errors"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// TestProposeOnce proposes one request twice, and another one under its key.
func TestProposeOnce(t *testing.T) {
	m := start(t, t.TempDir())
	token := func(id string) *pb.PutToken {
		return &pb.PutToken{Token: &pb.Token{Id: id, Hash: catalog.HashToken(id), Org: "org", Role: string(catalog.RoleViewer), CreatedAt: 1}}
	}
	once := func(fingerprint string) *pb.Once {
		return &pb.Once{Org: "org", Key: "k", Fingerprint: []byte(fingerprint), At: 1}
	}
	for _, id := range []string{"tok_1", "tok_2"} {
		r, err := m.ProposeOnce(t.Context(), token(id), once("same"))
		if err != nil || r.GetId() != "tok_1" {
			t.Errorf("%s: answered %v, %v", id, r, err)
		}
	}
	if _, err := m.ProposeOnce(t.Context(), token("tok_3"), once("another")); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("another request under the same key: %v", err)
	}
}
