package cluster

import (
	"errors"
	"strings"
	"testing"
)

// TestEmptyDiskComesBack replaces the disk of a member: it votes only after it was removed
// and added again.
func TestEmptyDiskComesBack(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	for i := range 5 {
		leader.put(i)
	}
	lost := followers[0]
	before := lost.members.identity.get()
	lost.kill()
	lost.wipe()
	lost.start().ready()
	if after := lost.members.identity.get(); after.Instance == before.Instance || after.Cluster != before.Cluster {
		t.Errorf("identity after the loss of the disk is %+v, before it was %+v", after, before)
	}
	lost.has(4)
	leader.voters("n1", "n2", "n3")
	if !strings.Contains(leader.logged.String()+followers[1].logged.String(), "came back without its data") {
		t.Error("the loss of its data was not detected")
	}
	// Its vote counts: the cluster continues with it and without another node.
	followers[1].kill()
	lost.put(5)
	leader.has(5)
}

// TestEmptyDiskDoesNotVote stops the only node with all entries while another one comes
// back with an empty disk: the third must not be elected with its vote.
func TestEmptyDiskDoesNotVote(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	behind, lost := followers[0], followers[1]
	behind.kill()
	leader.put(1) // in the logs of leader and lost
	leader.kill()
	lost.kill()
	lost.wipe()
	lost.start()
	behind.start()
	// They meet, and wait for the node that has the entry.
	eventually(t, "they meet", func() error {
		if k, ok := behind.members.contact(lost.id); !ok || !k.alive {
			return errors.New("not yet")
		}
		return nil
	})
	if _, err := behind.Propose(t.Context(), project(2)); !errors.Is(err, ErrNoLeader) {
		t.Fatalf("a leader without a committed entry was elected: %v", err)
	}
	leader.start()
	for _, n := range nodes {
		n.ready()
		n.has(1)
	}
}

// TestTwoClustersDoNotMix lets two clusters with one secret meet.
func TestTwoClustersDoNotMix(t *testing.T) {
	r := newRig(t)
	one := r.node("a1").start()
	one.ready()
	one.end(true)
	two := r.node("b1").start()
	two.ready()
	one.change = func(c *Config) { c.Join = []string{two.gossip.address} }
	one.start().ready()
	one.logs("gossip of a node of another cluster refused")
	two.logs("gossip of a node of another cluster refused")
	one.put(1)
	if got := len(one.Peers()) + len(two.Peers()); got != 2 {
		t.Errorf("%d members in two clusters of one", got)
	}
}
