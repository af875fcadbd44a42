package cluster

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
)

// TestThreeNodes bootstraps a cluster of three, and writes and reads on every node.
func TestThreeNodes(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	nodes[0].voters("n1", "n2", "n3")
	var all sync.WaitGroup
	const each = 20
	for i, n := range nodes {
		all.Go(func() {
			for k := range each {
				id := i*each + k
				n.put(id)
				// It is visible on any other node.
				nodes[(i+1+k)%3].has(id)
			}
		})
	}
	all.Wait()
	for _, n := range nodes {
		n.barrier()
		if got := (&member{catalog: n.catalog}).projects(t); got != 3*each {
			t.Errorf("%s holds %d projects, want %d", n.id, got, 3*each)
		}
	}
}

// TestLeaderIsKilled kills the leader; the others continue, and it comes back.
func TestLeaderIsKilled(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	leader, followers := r.leader(nodes...)
	leader.put(1)
	leader.kill()
	next, _ := r.leader(followers...)
	for i, n := range followers {
		n.has(1)
		n.put(2 + i)
	}
	if next == leader {
		t.Fatal("the killed node leads")
	}
	leader.start().ready()
	leader.has(2)
	leader.has(3)
}

// TestNoMajority kills two of three: requests fail in time, and none hangs.
func TestNoMajority(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(3)
	_, followers := r.leader(nodes...)
	left := followers[0]
	for _, n := range nodes {
		if n != left {
			n.kill()
		}
	}
	eventually(t, "the node is no longer ready", func() error {
		if left.Ready() == nil {
			return errors.New("still ready")
		}
		return nil
	})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if _, err := left.Propose(t.Context(), project(1)); !errors.Is(err, ErrNoLeader) {
				t.Errorf("write: %v, want ErrNoLeader", err)
			}
		})
		all.Go(func() {
			if err := left.Barrier(t.Context()); !errors.Is(err, ErrNoLeader) {
				t.Errorf("barrier: %v, want ErrNoLeader", err)
			}
		})
	}
	all.Wait()
}

// TestInternalHTTP makes requests between nodes, by id.
func TestInternalHTTP(t *testing.T) {
	r := newRig(t)
	r.expect = 2
	nodes := []*node{r.node("n1"), r.node("Node_2.x")}
	for _, n := range nodes {
		if err := n.open(); err != nil {
			t.Fatal(err)
		}
		n.Handle("/hello/", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			fmt.Fprintf(w, "%s %s %d", n.id, q.URL.Path, q.ProtoMajor)
		}))
	}
	for _, n := range nodes {
		n.ready()
	}
	for _, from := range nodes {
		for _, to := range from.Peers() {
			resp, err := from.HTTPClient().Get("https://" + to.ID + "/hello/x")
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if want := to.ID + " /hello/x 2"; err != nil || string(text) != want {
				t.Errorf("%s to %s: %q, %v", from.id, to.ID, text, err)
			}
		}
		if _, err := from.HTTPClient().Get("https://nobody/"); err == nil {
			t.Error("a request to an unknown node succeeded")
		}
	}
	// Clients without a certificate are refused.
	if resp, err := (&http.Client{}).Get("https://" + nodes[0].transport.Address() + "/hello/x"); err == nil {
		_ = resp.Body.Close()
		t.Error("a request without a certificate succeeded")
	}
}
