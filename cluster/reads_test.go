package cluster

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReaderBehindReader delays a command on the leader that the followers have applied. A
// reader of a follower sees it, so a later reader of the leader must see it, too.
func TestReaderBehindReader(t *testing.T) {
	r := newRig(t)
	var slow atomic.Pointer[string] // the node that applies nothing
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
	writing.Go(func() { followers[0].put(1) })
	eventually(t, "a follower applies a command that the leader has not applied", func() error {
		if followers[1].catalog.AppliedIndex() == before {
			return errors.New("it has applied nothing")
		}
		return nil
	})
	shown := followers[1].catalog.AppliedIndex()
	writing.Go(func() {
		leader.barrier()
		if got := leader.catalog.AppliedIndex(); got < shown {
			t.Errorf("a reader of the leader sees index %d after a reader of a follower has seen %d", got, shown)
		}
	})
	time.Sleep(100 * time.Millisecond) // lets a barrier return that does not wait
	open()
	writing.Wait()
}
