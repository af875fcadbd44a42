package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestRemove removes a node that runs: it is told, its data says so at the next start, and
// with an empty disk it may join again.
func TestRemove(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	gone, other := followers[0], followers[1]
	if err := other.Remove(t.Context(), "nobody"); !errors.Is(err, ErrRefused) {
		t.Errorf("an unknown node: %v", err)
	}
	if err := other.Remove(t.Context(), gone.id); err != nil {
		t.Fatal(err)
	}
	if err := <-gone.Fatal(); !errors.Is(err, errRemoved) {
		t.Errorf("it stops with %v", err)
	}
	gone.end(true)
	if err := gone.open(); err == nil || !strings.Contains(err.Error(), "was removed from its cluster") {
		t.Fatalf("its data does not say so: %v", err)
	}
	gone.wipe()
	gone.start().ready()
	leader.voters("n1", "n2", "n3")
}

// TestRemoveTheAbsent removes a node that is down: it is turned away when it comes back.
func TestRemoveTheAbsent(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	gone, other := followers[0], followers[1]
	gone.end(true)
	if err := leader.Remove(t.Context(), gone.id); err != nil {
		t.Fatal(err)
	}
	// Without it, two of two are needed.
	if err := leader.Remove(t.Context(), other.id); err != nil {
		t.Fatalf("one of two: %v", err)
	}
	if err := <-other.Fatal(); !errors.Is(err, errRemoved) {
		t.Errorf("it stops with %v", err)
	}
	if err := leader.Remove(t.Context(), leader.id); !errors.Is(err, ErrRefused) {
		t.Errorf("the last one: %v", err)
	}
	gone.start()
	if err := <-gone.Fatal(); !errors.Is(err, errRemoved) {
		t.Errorf("it stops with %v", err)
	}
	leader.voters(leader.id)
}

// TestRemoveKeepsAMajority refuses what would leave the group without one.
func TestRemoveKeepsAMajority(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	followers[0].kill()
	eventually(t, "the loss is seen", func() error {
		if k, _ := leader.members.contact(followers[0].id); k.alive {
			return errors.New("it is not")
		}
		return nil
	})
	if err := followers[1].Remove(t.Context(), followers[1].id); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no majority") {
		t.Errorf("removing one of two that are alive: %v", err)
	}
}

// TestRemoveTheLeader hands over first.
func TestRemoveTheLeader(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	if err := leader.Remove(t.Context(), leader.id); err != nil {
		t.Fatal(err)
	}
	if err := <-leader.Fatal(); !errors.Is(err, errRemoved) {
		t.Errorf("it stops with %v", err)
	}
	next, _ := r.leader(followers...)
	next.voters(followers[0].id, followers[1].id)
}

// TestDeadLeaveTheGroup keeps three voters, and lets those go that are dead for long; one
// that comes back is taken in again, with what it has.
func TestDeadLeaveTheGroup(t *testing.T) {
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
	eventually(t, "it is dead for long", func() error {
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

// TestFiveVote lets the sixth stand by.
func TestFiveVote(t *testing.T) {
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

// TestGoodbye stops the leader in order: another one leads at once, and it is seen to have
// left.
func TestGoodbye(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	leader.put(1)
	leader.end(true)
	// Nobody had to wait for a heartbeat that did not come.
	for _, n := range followers {
		if id, ok := n.Leader(); !ok || id == leader.id {
			t.Errorf("%s takes %q for the leader", n.id, id)
		}
	}
	eventually(t, "it is seen to have left", func() error {
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

// TestMembersTellHowTheyAre lists a cluster of which one is down and one hangs behind.
func TestMembersTellHowTheyAre(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	for _, n := range nodes {
		n.put(1)
	}
	_, followers := r.leader(nodes...)
	followers[1].kill()
	eventually(t, "all is told", func() error {
		members, err := followers[0].Members(t.Context())
		if err != nil {
			return err
		}
		if len(members) != 3 {
			return errors.New("some are missing")
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

// TestFrozenDisk holds up the log of the leader: another one leads, and the process ends.
func TestFrozenDisk(t *testing.T) {
	r := newRig(t)
	r.expect = 3
	nodes := []*node{r.node("n1"), r.node("n2"), r.node("n3")}
	for _, n := range nodes {
		n.change = func(c *Config) { c.Timing.Stall = 500 * time.Millisecond }
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	frozen, followers := r.leader(nodes...)
	thaw := make(chan struct{})
	hold := func() { <-thaw }
	frozen.log.beforeWrite.Store(&hold)
	go func() { _, _ = frozen.Propose(t.Context(), project(1)) }()
	if err := <-frozen.Fatal(); !errors.Is(err, ErrStalled) {
		t.Errorf("it stops with %v", err)
	}
	if _, err := frozen.Propose(t.Context(), project(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("it still takes writes: %v", err)
	}
	r.leader(followers...)
	followers[0].put(3)
	close(thaw)
}

// TestSnapshotIsInstalled brings a follower up to date that is too far behind for the log.
func TestSnapshotIsInstalled(t *testing.T) {
	r := newRig(t)
	r.segment = 4 << 10
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	behind := followers[0]
	behind.kill()
	for i := range 200 {
		leader.put(i)
	}
	// Whoever leads when it comes back has nothing older any more.
	for _, n := range []*node{leader, followers[1]} {
		few := n.raft.ReloadableConfig()
		few.TrailingLogs = 1
		if err := errors.Join(n.Barrier(t.Context()), n.raft.ReloadConfig(few), n.raft.Snapshot().Error()); err != nil {
			t.Fatal(err)
		}
	}
	// What comes after the snapshot's metadata travels with the catalog.
	leader.put(200)
	behind.start().ready()
	behind.has(0)
	behind.has(200)
	if metas, err := behind.fsm.snapshots.List(); err != nil || len(metas) == 0 {
		t.Fatalf("it was sent no snapshot: %v", err)
	}
	// It may start again, whatever its log holds by now.
	behind.kill()
	behind.start().ready()
	behind.has(200)

	// One without anything at all.
	fresh := r.node("n4").start()
	fresh.ready()
	fresh.has(200)
	leader.voters("n1", "n2", "n3", "n4")
	if s := fresh.raft.State(); s != raft.Follower {
		t.Errorf("it is %v", s)
	}
}
