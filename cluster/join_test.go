package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
)

// TestAloneIsJoined begins with the data of a node that ran alone and without ports, and
// has others join it.
func TestAloneIsJoined(t *testing.T) {
	r := newRig(t)
	first := r.node("n1")
	cat, err := catalog.Open(filepath.Join(first.dir, "catalog.db"), catalog.Options{Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	alone, err := Open(Config{ID: "n1", Dir: filepath.Join(first.dir, "raft"), Catalog: cat, Logger: discard, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := alone.Propose(t.Context(), project(1)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(alone.Close(), cat.Close()); err != nil {
		t.Fatal(err)
	}

	first.change = nil
	first.start().ready()
	first.has(1)
	second := r.node("n2").start()
	third := r.node("n3").start()
	for _, n := range []*node{second, third} {
		n.ready()
		n.has(1)
	}
	first.voters("n1", "n2", "n3")
	second.put(2)
	third.has(2)
	first.has(2)

	// They find one another again after all were down, at other addresses.
	nodes := []*node{first, second, third}
	for _, n := range nodes {
		n.end(true)
	}
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
		n.has(2)
	}
}

// TestManyBegin starts nodes at random moments, with random ideas of whom to ask, some of
// them again: however it goes, one cluster begins, and all come to be in it.
func TestManyBegin(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			r := newRig(t)
			r.expect = 3
			nodes := make([]*node, 4) // one more than is expected
			for i := range nodes {
				nodes[i] = r.node(fmt.Sprint("n", i+1))
			}
			// All know the first, which takes no part until the others are there: what they
			// know of one another is pieced together.
			rand.Shuffle(len(nodes), func(a, b int) { nodes[a], nodes[b] = nodes[b], nodes[a] })
			first := nodes[0].start()
			seed := first.gossip.address
			var all sync.WaitGroup
			for _, n := range nodes[1:] {
				n.change = func(c *Config) { c.Join = []string{seed} }
				all.Go(func() {
					time.Sleep(rand.N(300 * time.Millisecond))
					if err := n.open(); err != nil {
						t.Error(err)
						return
					}
					if rand.IntN(2) == 0 {
						time.Sleep(rand.N(300 * time.Millisecond))
						n.kill()
						if err := n.open(); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if t.Failed() {
				return
			}
			for _, n := range nodes {
				n.ready()
			}
			cluster := first.members.identity.get().Cluster
			for i, n := range nodes {
				if id := n.members.identity.get(); id.Cluster != cluster || id.Stage != stageMember {
					t.Errorf("%s is %q of cluster %s, not of %s", n.id, id.Stage, id.Cluster, cluster)
				}
				n.put(i)
			}
			for i := range nodes {
				first.has(i)
			}
			first.voters("n1", "n2", "n3", "n4")
		})
	}
}

// TestPromises asks for promises as founders do that know different nodes.
func TestPromises(t *testing.T) {
	r := newRig(t)
	r.expect = 3
	n := r.node("n2").start()
	ask := func(attempt, founder string, members ...string) string {
		answer, err := (&service{bootstrap: n.bootstrap}).Promise(t.Context(), promise(attempt, founder, members...))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Refusal
	}
	for _, tc := range []struct {
		what             string
		attempt, founder string
		members          []string
		given            bool
	}{
		{"not among the members", "a", "n1", []string{"n1", "n3", "n4"}, false},
		{"another number", "a", "n1", []string{"n1", "n2"}, false},
		{"the first", "a", "n1", []string{"n1", "n2", "n3"}, true},
		{"the same again", "a", "n1", []string{"n1", "n2", "n3"}, true},
		{"another founder", "b", "n3", []string{"n2", "n3", "n4"}, false},
		{"the same founder, another attempt", "c", "n1", []string{"n1", "n2", "n3"}, false},
	} {
		if got := ask(tc.attempt, tc.founder, tc.members...); (got == "") != tc.given {
			t.Errorf("%s: %q", tc.what, got)
		}
	}
	// A promise outlives a crash.
	n.kill()
	n.start()
	if got := ask("b", "n3", "n2", "n3", "n4"); got == "" {
		t.Error("the promise was forgotten")
	}
	n.bootstrap.release("b")
	if got := ask("b", "n3", "n2", "n3", "n4"); got == "" {
		t.Error("released by another attempt")
	}
	n.bootstrap.release("a")
	if got := ask("b", "n3", "n2", "n3", "n4"); got != "" {
		t.Errorf("after the release: %s", got)
	}
}

// TestEmptyDiskComesBack replaces a member's disk: it must not vote before it has left the
// group and come in again, and then it does.
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
		t.Errorf("it came back as %+v, and was %+v", after, before)
	}
	lost.has(4)
	leader.voters("n1", "n2", "n3")
	if !strings.Contains(leader.logged.String()+followers[1].logged.String(), "came back without its data") {
		t.Error("it was taken for the node that it was")
	}
	// It counts: the group goes on with it and without another.
	followers[1].kill()
	lost.put(5)
	leader.has(5)
}

// TestEmptyDiskDoesNotVote has the only node that knows it all be away while one
// comes back empty: the third must not be elected with its vote.
func TestEmptyDiskDoesNotVote(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	behind, lost := followers[0], followers[1]
	behind.kill()
	leader.put(1) // known to leader and lost
	leader.kill()
	lost.kill()
	lost.wipe()
	lost.start()
	behind.start()
	// They meet, and wait for the one who knows.
	eventually(t, "they meet", func() error {
		if k, ok := behind.members.contact(lost.id); !ok || !k.alive {
			return errors.New("not yet")
		}
		return nil
	})
	if _, err := behind.Propose(t.Context(), project(2)); !errors.Is(err, ErrNoLeader) {
		t.Fatalf("a leader was elected that does not know all: %v", err)
	}
	leader.start()
	for _, n := range nodes {
		n.ready()
		n.has(1)
	}
}

// TestTwoClustersDoNotMix lets two clusters of one secret meet.
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
