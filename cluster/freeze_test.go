package cluster

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestFreeze: whoever looks first after a freeze notices it, also without a tick in between.
func TestFreeze(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	f := &freezeDetector{now: func() time.Time { return now }}
	if f.since(now.Add(-time.Hour)) {
		t.Error("a detector that does not run has seen a freeze")
	}
	f.look()
	began := now
	for range 50 { // a busy machine is not frozen
		now = now.Add(freezeGap - time.Millisecond)
		f.look()
	}
	if f.since(began) {
		t.Error("a busy process counts as frozen")
	}
	began = now
	now = now.Add(2 * time.Second)
	if !f.since(began) {
		t.Error("the freeze after the command began was not noticed")
	}
	now = now.Add(drainTime / 2)
	if f.since(now) || !f.since(now.Add(-drainTime)) {
		t.Error("a command that began after the freeze counts as frozen, or one that may have waited does not")
	}
	for range 4 {
		now = now.Add(drainTime / 4)
		f.look()
	}
	if f.since(now.Add(-drainTime)) {
		t.Error("the freeze never ends")
	}
}

// TestLateCommandIsNotAppended: a command that was proposed before a freeze, or whose
// proposer has given up, is refused, and nothing is written.
func TestLateCommandIsNotAppended(t *testing.T) {
	now := time.Now()
	f := &freezeDetector{now: func() time.Time { return now }}
	f.look()
	p := &proposer{freeze: f}
	began := now
	if err := p.late(t.Context(), began); err != nil {
		t.Errorf("in time: %v", err)
	}
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(ErrClosed)
	if err := p.late(gone, began); !errors.Is(err, ErrClosed) {
		t.Errorf("given up: %v", err)
	}
	over, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	if err := p.late(over, began); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	now = now.Add(2 * time.Second)
	if err := p.late(t.Context(), began); !errors.Is(err, ErrNoLeader) || !errors.Is(err, errLate) {
		t.Errorf("frozen since: %v", err)
	}
	if err := p.late(t.Context(), now); err != nil {
		t.Errorf("proposed after the freeze: %v", err)
	}
}
