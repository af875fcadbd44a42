package replica

import (
	"testing"
)

// TestDeparted checks that a node which has left is removed from the holders, unless this
// node does not know the members.
func TestDeparted(t *testing.T) {
	s := newTestCluster(t, 4)
	id, sealed := s.replicated(destID)
	gone := s.desired(destID)[1]
	leader := s.desired(destID)[0]
	forget := func(want int) {
		t.Helper()
		if err := leader.replicator.forgetDeparted(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := s.holders(destID, id); len(held) != want {
			t.Errorf("held by %v, want %d", held, want)
		}
	}
	forget(3)
	leader.sees = func() []Member { return nil }
	forget(3)
	leader.sees = nil
	gone.left = true
	forget(2)
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
	gone.left = false
	gone.update()
	s.settle()
	s.replicatedOn(destID, id, sealed, s.wantedIDs(destID))
}
