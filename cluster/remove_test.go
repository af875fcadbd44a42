package cluster

import (
	"errors"
	"strings"
	"testing"
)

// TestRemove removes a running node: it is notified and stops, its data refuses to start,
// and with an empty disk it may join again.
func TestRemove(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	gone, other := followers[0], followers[1]
	if err := other.Remove(t.Context(), "nobody"); !errors.Is(err, ErrRefused) {
		t.Errorf("remove an unknown node: %v", err)
	}
	if err := other.Remove(t.Context(), gone.id); err != nil {
		t.Fatal(err)
	}
	if err := <-gone.Fatal(); !errors.Is(err, errRemoved) {
		t.Errorf("the node stops with %v", err)
	}
	gone.end(true)
	if err := gone.open(); err == nil || !strings.Contains(err.Error(), "was removed from its cluster") {
		t.Fatalf("open after the removal: %v", err)
	}
	gone.wipe()
	gone.start().ready()
	leader.voters("n1", "n2", "n3")
}

// TestRemoveStoppedNode removes a node that is down: it is notified when it comes back.
func TestRemoveStoppedNode(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	gone, other := followers[0], followers[1]
	gone.end(true)
	if err := leader.Remove(t.Context(), gone.id); err != nil {
		t.Fatal(err)
	}
	// Without it, a majority is two of two.
	if err := leader.Remove(t.Context(), other.id); err != nil {
		t.Fatalf("remove one of two: %v", err)
	}
	if err := <-other.Fatal(); !errors.Is(err, errRemoved) {
		t.Errorf("the node stops with %v", err)
	}
	if err := leader.Remove(t.Context(), leader.id); !errors.Is(err, ErrRefused) {
		t.Errorf("remove the last one: %v", err)
	}
	gone.start()
	if err := <-gone.Fatal(); !errors.Is(err, errRemoved) {
		t.Errorf("the node stops with %v", err)
	}
	leader.voters(leader.id)
}

// TestRemoveKeepsAMajority refuses a removal that would leave no majority alive.
func TestRemoveKeepsAMajority(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	followers[0].kill()
	eventually(t, "the dead node is detected", func() error {
		if k, _ := leader.members.contact(followers[0].id); k.alive {
			return errors.New("it is not")
		}
		return nil
	})
	if err := followers[1].Remove(t.Context(), followers[1].id); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no majority") {
		t.Errorf("remove one of two that are alive: %v", err)
	}
}

// TestRemoveTheLeader transfers the leadership first.
func TestRemoveTheLeader(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	if err := leader.Remove(t.Context(), leader.id); err != nil {
		t.Fatal(err)
	}
	if err := <-leader.Fatal(); !errors.Is(err, errRemoved) {
		t.Errorf("the node stops with %v", err)
	}
	next, _ := r.leader(followers...)
	next.voters(followers[0].id, followers[1].id)
}
