package cluster

import (
	"context"
	"sync"
)

// readBatch shares one call of fetch among concurrent callers. Who comes during a call is
// served by the next one, so that each result is from after the caller came.
type readBatch struct {
	fetch func() (uint64, error)

	mu      sync.Mutex
	next    *batchedCall
	running bool
}

type batchedCall struct {
	done  chan struct{}
	index uint64
	err   error
}

// do returns the result of a call of fetch that began after do was called.
func (b *readBatch) do(ctx context.Context) (uint64, error) {
	b.mu.Lock()
	if b.next == nil {
		b.next = &batchedCall{done: make(chan struct{})}
	}
	call := b.next
	if !b.running {
		b.running = true
		go b.run()
	}
	b.mu.Unlock()
	select {
	case <-call.done:
		return call.index, call.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (b *readBatch) run() {
	for {
		b.mu.Lock()
		call := b.next
		b.next = nil
		if call == nil {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		call.index, call.err = b.fetch()
		close(call.done)
	}
}
