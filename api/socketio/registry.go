package socketio

import "sync"

// registry holds the sessions of a server and the goroutines of their websockets.
type registry struct {
	running sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	sessions map[string]*session
	waiting  *waiting
}

func newRegistry() *registry {
	return &registry{sessions: map[string]*session{}, waiting: newWaiting()}
}

// add adds a session and starts its timers. It reports false when the registry is closed.
func (r *registry) add(s *session) bool {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return false
	}
	r.sessions[s.id] = s
	oldest := r.waiting.add(s)
	s.startTimers()
	r.mu.Unlock()
	if oldest != nil {
		oldest.close("too many sessions have not authenticated", false)
	}
	return true
}

func (r *registry) get(id string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id]
}

// authenticated records that a session has authenticated.
func (r *registry) authenticated(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting.remove(s)
}

func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s.id)
	r.waiting.remove(s)
}

// run starts a goroutine that close waits for. It reports false after close.
func (r *registry) run(fn func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.running.Go(fn)
	return true
}

// close ends all sessions and waits for their goroutines.
func (r *registry) close() {
	r.mu.Lock()
	r.closed = true
	sessions := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		sessions = append(sessions, s)
	}
	r.mu.Unlock()
	for _, s := range sessions {
		s.close("the server closes", false)
	}
	r.running.Wait()
}
