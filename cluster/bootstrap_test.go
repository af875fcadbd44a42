package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
)

// TestAloneIsJoined starts with the data of a node that ran alone and without ports, and
// lets others join it.
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

	// They find one another after all were down, at other addresses.
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

// TestManyBootstrap starts nodes at random times, and restarts some of them: they form one
// cluster, and all are members of it.
func TestManyBootstrap(t *testing.T) {
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
			// All join the first one, and learn of one another through it.
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
					t.Errorf("%s has stage %q in cluster %s, want member of %s", n.id, id.Stage, id.Cluster, cluster)
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

// TestPromises requests promises for competing attempts.
func TestPromises(t *testing.T) {
	r := newRig(t)
	r.expect = 3
	n := r.node("n2").start()
	ask := func(attempt, founder string, members ...string) string {
		response, err := (&service{bootstrap: n.bootstrap}).Promise(t.Context(), promise(attempt, founder, members...))
		if err != nil {
			t.Fatal(err)
		}
		return response.Refusal
	}
	for _, tc := range []struct {
		what             string
		attempt, founder string
		members          []string
		given            bool
	}{
		{"not among the members", "a", "n1", []string{"n1", "n3", "n4"}, false},
		{"another number of nodes", "a", "n1", []string{"n1", "n2"}, false},
		{"the first attempt", "a", "n1", []string{"n1", "n2", "n3"}, true},
		{"the same attempt again", "a", "n1", []string{"n1", "n2", "n3"}, true},
		{"another bootstrapper", "b", "n3", []string{"n2", "n3", "n4"}, false},
		{"the same bootstrapper, another attempt", "c", "n1", []string{"n1", "n2", "n3"}, false},
	} {
		if got := ask(tc.attempt, tc.founder, tc.members...); (got == "") != tc.given {
			t.Errorf("%s: %q", tc.what, got)
		}
	}
	// A promise survives a crash.
	n.kill()
	n.start()
	if got := ask("b", "n3", "n2", "n3", "n4"); got == "" {
		t.Error("the promise is lost")
	}
	n.bootstrap.release("b")
	if got := ask("b", "n3", "n2", "n3", "n4"); got == "" {
		t.Error("released by another attempt")
	}
	n.bootstrap.release("a")
	if got := ask("b", "n3", "n2", "n3", "n4"); got != "" {
		t.Errorf("no promise after the release: %s", got)
	}
}
