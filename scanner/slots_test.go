package scanner

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSlotsAreSharedByRoundRobin(t *testing.T) {
	s := newRequestSlots(1)
	big, small := s.newQueue(), s.newQueue()
	if err := big.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 10)
	var waiting sync.WaitGroup
	wait := func(queue *slotQueue, name string) {
		before := len(queue.waiting)
		waiting.Go(func() {
			if err := queue.acquire(t.Context()); err != nil {
				t.Error(err)
			}
			order <- name
			queue.release()
		})
		for n := before; n == before; { // until it waits
			time.Sleep(time.Millisecond)
			s.mu.Lock()
			n = len(queue.waiting)
			s.mu.Unlock()
		}
	}
	for range 4 {
		wait(big, "big")
	}
	wait(small, "small")
	big.release()
	waiting.Wait()
	first, second := <-order, <-order
	if first != "big" || second != "small" {
		t.Errorf("served %s, then %s: the small scan had to wait for the big one", first, second)
	}
	if s.free != 1 || len(s.queue) != 0 {
		t.Errorf("%d slots free and %d scans in the queue, want 1 and 0", s.free, len(s.queue))
	}
}

func TestSlotsBoundAndSurviveCancel(t *testing.T) {
	s := newRequestSlots(3)
	var inUse, most atomic.Int64
	var all sync.WaitGroup
	for i := range 50 {
		queue := s.newQueue()
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%3 == 0 {
				time.AfterFunc(time.Duration(i)*100*time.Microsecond, cancel)
			}
			for range 20 {
				if err := queue.acquire(ctx); err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				n := inUse.Add(1)
				most.Store(max(most.Load(), n))
				time.Sleep(100 * time.Microsecond)
				inUse.Add(-1)
				queue.release()
			}
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d requests at once, want at most 3", most.Load())
	}
	if s.free != 3 || len(s.queue) != 0 {
		t.Errorf("%d slots free and %d scans in the queue, want 3 and 0", s.free, len(s.queue))
	}
}
