package api

import (
	"context"
	"sync"
)

// flights are the requests with an Idempotency-Key in progress on this node. The zero
// value is ready for use.
type flights struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// enter waits until no other request has the key, and holds the key until leave is
// called.
func (f *flights) enter(ctx context.Context, key string) (leave func(), err error) {
	for {
		f.mu.Lock()
		done, taken := f.busy[key]
		if !taken {
			if f.busy == nil {
				f.busy = map[string]chan struct{}{}
			}
			done = make(chan struct{})
			f.busy[key] = done
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				delete(f.busy, key)
				close(done)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			if gone(ctx.Err()) {
				return nil, ctx.Err()
			}
			return nil, &Error{Code: CodeConflict, Message: "The first request with this " + keyHeader + " is still in progress; try again shortly"}
		}
	}
}

const keyHeader = "Idempotency-Key"
