package scanner

import (
	"context"
	"slices"
	"sync"
)

// requestSlots bounds the concurrent requests of a node and shares them among its scans
// by round robin, so that a scan of a thousand files need not wait for one of a hundred
// million.
type requestSlots struct {
	mu    sync.Mutex
	free  int
	queue []*slotQueue // those with waiters, the next one first
}

// A slotQueue holds the waiters of one scan.
type slotQueue struct {
	slots   *requestSlots
	waiting []chan struct{}
}

func newRequestSlots(n int) *requestSlots { return &requestSlots{free: n} }

func (s *requestSlots) newQueue() *slotQueue { return &slotQueue{slots: s} }

// acquire waits for a slot, or for the end of ctx.
func (q *slotQueue) acquire(ctx context.Context) error {
	s := q.slots
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	if len(q.waiting) == 0 {
		s.queue = append(s.queue, q)
	}
	q.waiting = append(q.waiting, ready)
	s.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(q.waiting, ready)
	if i < 0 { // the slot came while ctx ended: pass it on
		s.release()
		return context.Cause(ctx)
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if len(q.waiting) == 0 {
		s.queue = slices.DeleteFunc(s.queue, func(o *slotQueue) bool { return o == q })
	}
	return context.Cause(ctx)
}

// release gives a slot to the next scan that waits.
func (q *slotQueue) release() {
	q.slots.mu.Lock()
	defer q.slots.mu.Unlock()
	q.slots.release()
}

func (s *requestSlots) release() {
	if len(s.queue) == 0 {
		s.free++
		return
	}
	q := s.queue[0]
	s.queue = s.queue[1:]
	close(q.waiting[0])
	q.waiting = q.waiting[1:]
	if len(q.waiting) > 0 {
		s.queue = append(s.queue, q)
	}
}
