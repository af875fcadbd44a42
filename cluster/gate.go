package cluster

import (
	"sync"
	"time"
)

// drainWait bounds how long a node that stops waits for raft to answer what is under way: a
// leader without followers needs as long as its lease.
const drainWait = 3 * time.Second

// gate counts the questions to raft that are under way. Raft does not answer what it
// finds in its queues after it was shut down, so that is waited for before. The zero
// value is open, and safe for concurrent use.
type gate struct {
	mu    sync.Mutex
	under int
	shut  chan struct{} // not nil when the gate is shut; closed when nothing is under way
}

// enter tells whether a question may be put; if so, leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		return false
	}
	g.under++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under--; g.under == 0 && g.shut != nil {
		close(g.shut)
	}
}

// close shuts the gate, once, and waits until nothing is under way, at most drainWait.
func (g *gate) close() {
	g.mu.Lock()
	g.shut = make(chan struct{})
	if g.under == 0 {
		close(g.shut)
	}
	g.mu.Unlock()
	select {
	case <-g.shut:
	case <-time.After(drainWait):
	}
}
