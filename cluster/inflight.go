package cluster

import (
	"sync"
	"time"
)

// drainTimeout bounds how long a stopping node waits for Raft to complete requests: a leader
// without followers needs as long as its lease.
const drainTimeout = 3 * time.Second

// inflight counts requests to Raft. After its shutdown Raft leaves requests in its queues
// without a response, so they are drained first. The zero value is ready to use, and safe
// for concurrent use.
type inflight struct {
	mu      sync.Mutex
	count   int
	drained chan struct{} // nil before drain; closed when the count is 0
}

// add reports whether a request may start; if so, done must follow.
func (f *inflight) add() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drained != nil {
		return false
	}
	f.count++
	return true
}

func (f *inflight) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count--; f.count == 0 && f.drained != nil {
		close(f.drained)
	}
}

// drain refuses new requests and waits for the others, at most drainTimeout. Call it once.
func (f *inflight) drain() {
	f.mu.Lock()
	f.drained = make(chan struct{})
	if f.count == 0 {
		close(f.drained)
	}
	f.mu.Unlock()
	select {
	case <-f.drained:
	case <-time.After(drainTimeout):
	}
}
