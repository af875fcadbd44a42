package deletion

import (
	"context"
	"sync"
	"time"

	"firescan/provider"
)

const (
	// lookupFor is how long a result is used again.
	lookupFor = 5 * time.Minute
	// maxLookups bounds the results that are kept.
	maxLookups = 10_000
)

// lookups keeps the results of lookups for a while, each for one generation.
type lookups struct {
	mu      sync.Mutex
	results map[string]lookup
}

type lookup struct {
	info provider.Info
	err  error
	at   time.Time
}

// stat looks up a key. Only what the provider has said for certain is kept.
func (l *lookups) stat(ctx context.Context, b provider.Bucket, generation, key string) (provider.Info, error) {
	id := generation + "\x00" + key
	l.mu.Lock()
	known, ok := l.results[id]
	l.mu.Unlock()
	if ok && time.Since(known.at) < lookupFor {
		return known.info, known.err
	}
	info, err := b.Stat(ctx, key)
	if err == nil || provider.KindOf(err) == provider.NotFound {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.results == nil || len(l.results) >= maxLookups {
			l.results = map[string]lookup{}
		}
		l.results[id] = lookup{info, err, time.Now()}
	}
	return info, err
}
