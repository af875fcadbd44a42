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

// lookups keeps the results of lookups for a while, those of single objects for one generation.
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
	if known, ok := l.known(id); ok {
		return known.info, known.err
	}
	info, err := b.Stat(ctx, key)
	if err == nil || provider.KindOf(err) == provider.NotFound {
		l.keep(id, lookup{info, err, time.Now()})
	}
	return info, err
}

// isListed reports whether an object is listed under exactly its key. Only that it is, is kept.
func (l *lookups) isListed(ctx context.Context, b provider.Bucket, bucketID, key string) (bool, error) {
	id := "\x00" + bucketID + "\x00" + key
	if _, ok := l.known(id); ok {
		return true, nil
	}
	info, err := provider.Listed(ctx, b, key)
	if info != nil && err == nil {
		l.keep(id, lookup{info: *info, at: time.Now()})
	}
	return info != nil, err
}

func (l *lookups) known(id string) (lookup, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.results[id]
	return known, ok && time.Since(known.at) < lookupFor
}

func (l *lookups) keep(id string, found lookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.results == nil || len(l.results) >= maxLookups {
		l.results = map[string]lookup{}
	}
	l.results[id] = found
}
