package cluster

import (
	"errors"
	"fmt"
	"testing"
)

// TestCloseLeader closes the leader: another node leads, and the others see that it left.
func TestCloseLeader(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	leader.put(1)
	leader.end(true)
	for _, n := range followers {
		eventually(t, n.id+" knows the next leader", func() error {
			if id, ok := n.Leader(); !ok || id == leader.id {
				return fmt.Errorf("its leader is %q", id)
			}
			return nil
		})
	}
	eventually(t, "the others see that it left", func() error {
		members, err := followers[0].Members(t.Context())
		if err != nil {
			return err
		}
		for _, m := range members {
			if m.ID == leader.id && m.State != StateLeft {
				return errors.New(m.State)
			}
		}
		return nil
	})
	leader.start().ready()
	leader.has(1)
}

// TestMemberStates lists the members of a cluster with one node down.
func TestMemberStates(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	for _, n := range nodes {
		n.put(1)
	}
	_, followers := r.leader(nodes...)
	followers[1].kill()
	eventually(t, "all states are known", func() error {
		members, err := followers[0].Members(t.Context())
		if err != nil {
			return err
		}
		if len(members) != 3 {
			return fmt.Errorf("%d members", len(members))
		}
		leaders := 0
		for i, m := range members {
			if m.Leader {
				leaders++
			}
			want := StateAlive
			if m.ID == followers[1].id {
				want = StateDead
			}
			if m.ID != nodes[i].id || m.State != want || !m.Voter || m.Address == "" || m.HTTPAddress != m.ID+":80" || m.Version != "test" {
				return errors.New(m.ID + " is " + m.State)
			}
			if want == StateAlive && m.AppliedIndex == 0 {
				return errors.New(m.ID + " has applied nothing")
			}
		}
		if leaders != 1 {
			return errors.New("no leader")
		}
		return nil
	})
}

func TestMembers(t *testing.T) {
	m := start(t, t.TempDir())
	if err := m.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	// That this node leads is noticed shortly after the barrier.
	eventually(t, "this node is the only member and leads", func() error {
		all, err := m.Members(t.Context())
		if err != nil {
			return err
		}
		if len(all) != 1 || all[0] != (Member{ID: "n1", Voter: true, Leader: true, State: StateAlive, AppliedIndex: all[0].AppliedIndex}) {
			return fmt.Errorf("members %+v", all)
		}
		return nil
	})
}
