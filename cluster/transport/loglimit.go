package transport

import (
	"sync"
	"time"
)

const (
	// logInterval is the minimum time between two log lines with the same key.
	logInterval = time.Minute
	// maxLogKeys bounds the keys that a LogLimiter remembers.
	maxLogKeys = 1000
)

// A LogLimiter keeps repeated events from filling the log. Its zero value is ready to use,
// and safe for concurrent use.
type LogLimiter struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// Allow reports whether an event may be logged: true once a minute for each key.
func (l *LogLimiter) Allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if last, ok := l.last[key]; ok && now.Sub(last) < logInterval {
		return false
	}
	if l.last == nil || len(l.last) > maxLogKeys {
		l.last = map[string]time.Time{}
	}
	l.last[key] = now
	return true
}
