package cluster

import (
	"context"
	"sync"
)

// rounds shares one question among many who ask at once: whoever comes while it is being
// asked is served by the next round, so that each answer is of a moment after the call.
type rounds struct {
	ask func() (uint64, error)

	mu      sync.Mutex
	next    *round
	running bool
}

type round struct {
	done   chan struct{}
	answer uint64
	err    error
}

// get answers what ask said at some moment after the call.
func (v *rounds) get(ctx context.Context) (uint64, error) {
	v.mu.Lock()
	if v.next == nil {
		v.next = &round{done: make(chan struct{})}
	}
	r := v.next
	if !v.running {
		v.running = true
		go v.run()
	}
	v.mu.Unlock()
	select {
	case <-r.done:
		return r.answer, r.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (v *rounds) run() {
	for {
		v.mu.Lock()
		r := v.next
		v.next = nil
		if r == nil {
			v.running = false
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		r.answer, r.err = v.ask()
		close(r.done)
	}
}
