package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestCloseLeader closes the leader: another node leads, and the others see that it left.
// They are ready throughout.
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
		if err := n.Ready(); err != nil {
			t.Errorf("%s is not ready: %v", n.id, err)
		}
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

// TestReadyWithoutLeader kills two of three nodes: the last one is ready for the time of an
// election, and no longer.
func TestReadyWithoutLeader(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	leader.kill()
	followers[0].kill()
	last := followers[1]
	eventually(t, "the last node has lost the leader", func() error {
		if id, ok := last.Leader(); ok {
			return fmt.Errorf("its leader is %s", id)
		}
		return nil
	})
	if err := last.Ready(); err != nil {
		t.Errorf("right after the leader was lost: %v", err)
	}
	last.leadership.change(func() { last.leadership.lost = time.Now().Add(-readyGrace * last.config.Timing.Heartbeat) })
	if err := last.Ready(); !errors.Is(err, ErrNoLeader) {
		t.Errorf("long after the leader was lost: %v", err)
	}
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
