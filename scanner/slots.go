package scanner

import (
	"context"
	"sync"
)

// slots shares the requests that a node may have under way among its scans: a scan
// that waits gets every n-th slot that comes free, n being the scans that wait. So a
// bucket of a thousand files does not stand behind one of a hundred million.
type slots struct {
	mu    sync.Mutex
	free  int
	queue []*turn // the scans with waiters, the one to be served next first
}

// turn is one scan's place in the queue.
type turn struct {
	slots   *slots
	waiting []chan struct{}
}

func newSlots(n int) *slots { return &slots{free: n} }

func (s *slots) newTurn() *turn { return &turn{slots: s} }

// acquire waits for a slot, or for the end of ctx.
func (t *turn) acquire(ctx context.Context) error {
	s := t.slots
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	if len(t.waiting) == 0 {
		s.queue = append(s.queue, t)
	}
	t.waiting = append(t.waiting, ready)
	s.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range t.waiting {
		if w == ready {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			if len(t.waiting) == 0 {
				s.leave(t)
			}
			return context.Cause(ctx)
		}
	}
	// The slot came while ctx ended: pass it on.
	s.release()
	return context.Cause(ctx)
}

// release gives a slot back, to the scan whose turn it is.
func (t *turn) release() {
	t.slots.mu.Lock()
	defer t.slots.mu.Unlock()
	t.slots.release()
}

func (s *slots) release() {
	if len(s.queue) == 0 {
		s.free++
		return
	}
	t := s.queue[0]
	s.queue = s.queue[1:]
	close(t.waiting[0])
	t.waiting = t.waiting[1:]
	if len(t.waiting) > 0 {
		s.queue = append(s.queue, t)
	}
}

func (s *slots) leave(t *turn) {
	for i, q := range s.queue {
		if q == t {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return
		}
	}
}
