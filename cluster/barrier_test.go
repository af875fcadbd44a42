package cluster

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReaderBehindReader has a command applied by the followers and not by the leader. Who
// reads on a follower sees it, so that whoever reads after that must see it, too.
func TestReaderBehindReader(t *testing.T) {
	r := newRig(t)
	var slow atomic.Pointer[string] // the node that does not apply
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	r.expect = 3
	var nodes []*node
	for _, id := range []string{"n1", "n2", "n3"} {
		n := r.node(id)
		n.change = func(c *Config) {
			c.faults.applying = func() {
				if held := slow.Load(); held != nil && *held == id {
					<-gate
				}
			}
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	leader, followers := r.leader(nodes...)
	slow.Store(&leader.id)
	before := leader.catalog.AppliedIndex()
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := followers[0].Propose(t.Context(), project(1)); err != nil {
			t.Errorf("write: %v", err)
		}
	})
	eventually(t, "a follower has applied what the leader has not", func() error {
		if followers[1].catalog.AppliedIndex() == before {
			return errors.New("it has not")
		}
		return nil
	})
	shown := followers[1].catalog.AppliedIndex()
	writing.Go(func() {
		if err := leader.Barrier(t.Context()); err != nil {
			t.Errorf("barrier: %v", err)
		}
		if got := leader.catalog.AppliedIndex(); got < shown {
			t.Errorf("a reader of the leader is told to read at %d after a reader of a follower has seen %d", got, shown)
		}
	})
	time.Sleep(100 * time.Millisecond) // for a barrier that waits for nothing to come to its end
	open()
	writing.Wait()
}
