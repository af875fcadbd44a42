package catalog

import (
	"context"
	"errors"
	"sync"
	"time"
)

// scrubs remembers when the catalog file was last compared with its records, and lets those
// who want to know share one comparison. A new file counts as never compared.
type scrubs struct {
	mu      sync.Mutex
	sound   time.Time // when the last scrub began that found no damage
	running *runningScrub
}

type runningScrub struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // read it only after done is closed
}

// abort ends the current scrub and forgets the last one: the file is replaced or closed.
func (s *scrubs) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sound = time.Time{}
	if s.running != nil {
		s.running.cancel()
		s.running = nil
	}
}

// last returns when the last scrub began that found no damage.
func (s *scrubs) last() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sound
}

// join returns the current scrub, or starts one. It returns nil when the last one is not
// older than maxAge. Damage is noted while the file is still the one that was compared.
func (s *scrubs) join(maxAge time.Duration, scrub func(context.Context) error, note func(error)) *runningScrub {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sound.IsZero() && time.Since(s.sound) <= maxAge {
		return nil
	}
	if s.running != nil {
		return s.running
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &runningScrub{cancel: cancel, done: make(chan struct{})}
	s.running = run
	begun := time.Now()
	go func() {
		defer close(run.done)
		defer cancel()
		run.err = scrub(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running != run {
			// It was aborted.
			run.err = errors.Join(errReplaced, run.err)
			return
		}
		if s.running = nil; run.err == nil {
			s.sound = begun
		}
		note(run.err)
	}()
	return run
}

// errReplaced is returned for a scrub of a file that was closed or replaced meanwhile.
var errReplaced = errors.New("the catalog was replaced or closed while it was compared with its records: try again")
