package cluster

import (
	"errors"
	"fmt"
	"testing"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// TestProposeOnce proposes one request twice, and another one with its key.
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
			t.Errorf("%s: returned %v, %v", id, r, err)
		}
	}
	if _, err := m.ProposeOnce(t.Context(), token("tok_3"), once("another")); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("another request under the same key: %v", err)
	}
}

// TestProposeOnceAcrossLeaders kills leaders while a follower proposes a command that takes
// effect once: each is applied, once.
func TestProposeOnceAcrossLeaders(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	for i := range 3 {
		leader, followers := r.leader(nodes...)
		done := make(chan error, 1)
		id := fmt.Sprint("tok_", i)
		command := &pb.PutToken{Token: &pb.Token{Id: id, Hash: catalog.HashToken(id), Org: "org", Role: string(catalog.RoleViewer), CreatedAt: 1}}
		once := &pb.Once{Org: "org", Key: id, Fingerprint: []byte(id), At: 1}
		go func() {
			for {
				result, err := followers[0].ProposeOnce(t.Context(), command, once)
				if errors.Is(err, ErrNoLeader) || errors.Is(err, ErrUnknown) {
					continue // as a client does with its key
				}
				if err == nil && result.GetId() != id {
					err = fmt.Errorf("returned %v", result)
				}
				done <- err
				return
			}
		}()
		leader.kill()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", id, err)
		}
		leader.start().ready()
	}
}
