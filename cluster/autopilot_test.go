package cluster

import (
	"errors"
	"testing"
	"time"
)

// TestDeadNodesAreRemoved removes dead nodes while three voters remain; one that comes back
// is added again, with its data.
func TestDeadNodesAreRemoved(t *testing.T) {
	r := newRig(t)
	r.expect = 4
	nodes := []*node{r.node("n1"), r.node("n2"), r.node("n3"), r.node("n4")}
	for _, n := range nodes {
		n.change = func(c *Config) { c.DeadAfter = time.Second }
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	leader, followers := r.leader(nodes...)
	leader.put(1)
	followers[0].kill()
	leader.voters(without(nodes, followers[0])...)
	// A second one stays: two of two are no safer than two of three.
	followers[1].kill()
	eventually(t, "it is dead for 3 s", func() error {
		if k, _ := leader.members.contact(followers[1].id); k.alive || time.Since(k.since) < 3*time.Second {
			return errors.New("not yet")
		}
		return nil
	})
	if n := len(leader.Peers()); n != 3 {
		t.Errorf("%d members", n)
	}
	for _, n := range followers[:2] {
		n.start()
	}
	leader.voters("n1", "n2", "n3", "n4")
	followers[0].has(1)
}

func without(nodes []*node, one *node) (ids []string) {
	for _, n := range nodes {
		if n != one {
			ids = append(ids, n.id)
		}
	}
	return ids
}

// TestFiveVoters gives five of six nodes a vote.
func TestFiveVoters(t *testing.T) {
	if testing.Short() {
		t.Skip("six nodes take a while")
	}
	r := newRig(t)
	first := r.node("n1").start()
	first.ready()
	for _, id := range []string{"n2", "n3", "n4", "n5", "n6"} {
		r.node(id).start().ready()
	}
	eventually(t, "five of six have a vote", func() error {
		voters := 0
		for _, p := range first.Peers() {
			if p.Voter {
				voters++
			}
		}
		if voters != 5 || len(first.Peers()) != 6 {
			return errors.New("not yet")
		}
		return nil
	})
	time.Sleep(5 * fast.Stable) // long enough for a sixth
	voters := 0
	for _, p := range first.Peers() {
		if p.Voter {
			voters++
		}
	}
	if voters != 5 {
		t.Errorf("%d voters", voters)
	}
}
