package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestPartition cuts the leader off: the minority refuses in time, and the majority
// continues. After the partition all have the same data.
func TestPartition(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	old, majority := r.leader(nodes...)
	old.put(1)
	r.net.part([]*node{old}, majority, true)
	if _, err := old.Propose(t.Context(), project(2)); !errors.Is(err, ErrNoLeader) && !errors.Is(err, ErrUnknown) {
		t.Fatalf("write on a leader without followers: %v", err)
	}
	if err := old.Barrier(t.Context()); !errors.Is(err, ErrNoLeader) {
		t.Fatalf("read on a leader without followers: %v", err)
	}
	r.leader(majority...)
	for i, n := range majority {
		n.put(10 + i)
		n.has(1)
	}
	// Gossip detects it, too.
	eventually(t, "the node that is cut off is considered dead", func() error {
		for _, p := range majority[0].Peers() {
			if p.ID == old.id && p.Alive {
				return errors.New("it is not")
			}
		}
		return nil
	})
	r.net.part([]*node{old}, majority, false)
	old.ready()
	for i := range majority {
		old.has(10 + i)
	}
	r.leader(nodes...)
	old.put(20)
	majority[0].has(20)
}

// TestFollowerIsCutOff forwards to a leader on the other side of a partition: requests
// fail in time.
func TestFollowerIsCutOff(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	cut := followers[0]
	cut.put(1) // opens a connection
	r.net.part([]*node{cut}, []*node{leader, followers[1]}, true)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if _, err := cut.Propose(t.Context(), project(2)); !errors.Is(err, ErrNoLeader) && !errors.Is(err, ErrUnknown) {
				t.Errorf("write on a node that is cut off: %v", err)
			}
		})
		all.Go(func() {
			if err := cut.Barrier(t.Context()); !errors.Is(err, ErrNoLeader) {
				t.Errorf("read on a node that is cut off: %v", err)
			}
		})
	}
	all.Wait()
	leader.put(3)
	r.net.part([]*node{cut}, []*node{leader, followers[1]}, false)
	cut.has(3)
}

// TestOneWay cuts one direction after another between random nodes, while all of them
// write: every acknowledged write is present in the end.
func TestOneWay(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	stop := make(chan struct{})
	acknowledged := make(chan []int, len(nodes))
	for i, n := range nodes {
		go func() {
			var mine []int
			defer func() { acknowledged <- mine }()
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				id := i*1_000_000 + k
				if _, err := n.Propose(t.Context(), project(id)); err == nil {
					mine = append(mine, id)
				} else if !errors.Is(err, ErrNoLeader) && !errors.Is(err, ErrUnknown) {
					t.Errorf("%s: %v", n.id, err)
				}
			}
		}()
	}
	cuts := 6
	if testing.Short() {
		cuts = 2
	}
	for range cuts {
		a, b := rand.IntN(3), rand.IntN(2)
		if b >= a {
			b++
		}
		r.net.cut([]*node{nodes[a]}, []*node{nodes[b]}, true)
		time.Sleep(rand.N(1500 * time.Millisecond))
		r.net.cut([]*node{nodes[a]}, []*node{nodes[b]}, false)
		time.Sleep(rand.N(300 * time.Millisecond))
	}
	close(stop)
	var all []int
	for range nodes {
		all = append(all, <-acknowledged...)
	}
	if len(all) == 0 {
		t.Fatal("nothing was written")
	}
	for _, n := range nodes {
		n.ready()
		eventually(t, "barrier on "+n.id, func() error { return n.Barrier(t.Context()) })
		for _, id := range all {
			if !n.holds(id) {
				t.Fatalf("%s has no project %d, which was acknowledged", n.id, id)
			}
		}
	}
	t.Log(fmt.Sprint(len(all), " writes were acknowledged"))
}
