package scanner

import "sync"

// signal wakes all who wait for a change. The zero value is ready; it is safe for
// concurrent use, and costs next to nothing while nobody waits.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

// wait answers a channel that the next raise closes. To miss no change, call it before
// looking.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}
