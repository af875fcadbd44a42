package catalog

import (
	"sync"
)

// A Signal wakes all goroutines that wait for a change. The zero value is ready; it is safe
// for concurrent use and costs next to nothing while nobody waits.
type Signal struct {
	mu sync.Mutex
	c  chan struct{}
}

// Wait returns a channel that the next Broadcast closes. To miss no change, call it before
// reading the state that changes.
func (s *Signal) Wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

// Broadcast wakes all waiters.
func (s *Signal) Broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}
