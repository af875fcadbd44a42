package cluster

import (
	"errors"
	"testing"
	"time"
)

// TestFrozenDisk blocks the log of the leader: another node leads, and the leader stops.
func TestFrozenDisk(t *testing.T) {
	r := newRig(t)
	r.expect = 3
	nodes := []*node{r.node("n1"), r.node("n2"), r.node("n3")}
	for _, n := range nodes {
		n.change = func(c *Config) { c.Timing.Stall = 2 * time.Second }
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
		t.Errorf("the node stops with %v", err)
	}
	if _, err := frozen.Propose(t.Context(), project(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("write on a stalled node: %v, want ErrClosed", err)
	}
	r.leader(followers...)
	followers[0].put(3)
	close(thaw)
}

// TestPendingWrite checks that only a write that is pending at each tick counts, however much
// time passes between two ticks.
func TestPendingWrite(t *testing.T) {
	var p pendingWrite
	for i, step := range []struct {
		start int64
		want  int
	}{{0, 0}, {7, 0}, {7, 1}, {7, 2}, {0, 0}, {7, 0}, {8, 0}, {8, 1}, {9, 0}} {
		if got := p.observe(step.start); got != step.want {
			t.Errorf("step %d: %d ticks, want %d", i, got, step.want)
		}
	}
}
