package cluster

import (
	"context"
	"sync"
	"time"
)

const (
	// freezeTick is the interval at which a freezeDetector looks at the clock, and freezeGap
	// the least time between two looks that counts as a freeze. It is far above the pauses
	// of a busy machine and below the patience of clients.
	freezeTick = 100 * time.Millisecond
	freezeGap  = time.Second
	// drainTime is how long after a freeze a request may be read that arrived before or
	// during it.
	drainTime = time.Second
)

// A freezeDetector notices that the whole process stood still: SIGSTOP, a paused container
// or virtual machine. What was read from a socket after a freeze, or begun before it, may be
// older than its reader thinks, and its client may have given up and changed its mind since.
// It is safe for concurrent use. The zero value has seen no freeze.
type freezeDetector struct {
	now func() time.Time // nil: time.Now

	mu     sync.Mutex
	looked time.Time // the last look, zero before run
	thawed time.Time // the end of the last freeze, zero for none
}

// run looks at the clock until ctx ends.
func (f *freezeDetector) run(ctx context.Context) {
	tick := time.NewTicker(freezeTick)
	defer tick.Stop()
	for {
		f.look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look notes the time, and returns the end of the last freeze. Whoever looks first after a
// freeze notices it, so nothing depends on the order in which goroutines continue.
func (f *freezeDetector) look() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now
	if f.now != nil {
		now = f.now
	}
	at := now()
	if !f.looked.IsZero() && gap(f.looked, at) >= freezeGap {
		f.thawed = at
	}
	f.looked = at
	return f.thawed
}

// gap returns the time between two looks. The monotonic clock goes on while the process is
// stopped; while a machine is paused only the other one jumps.
func gap(a, b time.Time) time.Duration {
	return max(b.Sub(a), b.Round(0).Sub(a.Round(0)))
}

// since reports whether the process was frozen at a time or later.
func (f *freezeDetector) since(at time.Time) bool { return f.running() && f.look().After(at) }

func (f *freezeDetector) running() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.looked.IsZero()
}
