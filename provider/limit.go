package provider

import (
	"context"
	"maps"
	"sync"
	"time"
)

// Requests per second that providers accept for one bucket.
const (
	// CeilingS3 is Amazon's figure for reads of one partitioned prefix.
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
	CeilingS3 = 5500
	// CeilingSpaces is DigitalOcean's figure for lists and writes together.
	// https://docs.digitalocean.com/products/spaces/details/limits/
	CeilingSpaces = 150
	// CeilingGCS is Google's initial figure for reads of one bucket.
	// https://cloud.google.com/storage/docs/request-rate
	CeilingGCS = 5000
)

const (
	decrease = 0.7             // of the rate, at a throttled call
	increase = 0.05            // of the peak rate, a second, while calls succeed
	burst    = time.Second / 8 // how far calls may run ahead of the rate
	slowest  = 1.0             // calls a second, however much the provider throttles
)

// A Limiter limits the rate of calls to one bucket: it slows down when the provider
// throttles, and speeds up while calls succeed (additive increase, multiplicative
// decrease). Until the first throttled call only its ceiling applies. It is safe for
// concurrent use, and meant to be shared by every stream that reads the bucket.
type Limiter struct {
	mu      sync.Mutex
	ceiling float64   // calls a second; 0 is none
	rate    float64   // calls a second; 0 is as many as may be
	peak    float64   // the rate at which the provider throttled last
	next    time.Time // when the next call is due
	slowed  time.Time // when the rate was last decreased

	// The calls counted since, to know the rate when there is none to go by.
	since time.Time
	calls float64
}

// NewLimiter returns a limiter of at most ceiling calls per second; 0 is unlimited.
func NewLimiter(ceiling float64) *Limiter { return &Limiter{ceiling: ceiling, rate: ceiling} }

// SetCeiling changes the ceiling, as when several nodes share it.
func (l *Limiter) SetCeiling(ceiling float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == l.ceiling || ceiling > 0 && l.rate > ceiling {
		l.rate = ceiling
	}
	l.ceiling = ceiling
}

// Rate returns the current limit in calls per second; 0 is unlimited.
func (l *Limiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// Limit returns a bucket whose calls wait for the limiter and report their results to it.
func Limit(b Bucket, l *Limiter) Bucket { return wrapper{b, l.run} }

func (l *Limiter) run(ctx context.Context, op string, do func(context.Context) error) error {
	if due := l.reserve(time.Now()); due > 0 {
		if wait(ctx, due) != nil {
			return unsent(ctx, op)
		}
	}
	began := time.Now()
	err := do(ctx)
	switch {
	case err == nil:
		l.succeeded()
	case KindOf(err) == Throttled:
		l.throttled(began, time.Now())
	}
	return err
}

// reserve takes a place in the sequence of calls and returns how long to wait for it.
func (l *Limiter) reserve(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == 0 {
		if now.Sub(l.since) > time.Second {
			l.since, l.calls = now, 0
		}
		l.calls++
		return 0
	}
	if ahead := now.Add(-burst); l.next.Before(ahead) {
		l.next = ahead
	}
	due := l.next
	l.next = due.Add(time.Duration(float64(time.Second) / l.rate))
	return due.Sub(now)
}

func (l *Limiter) succeeded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peak == 0 || l.rate == 0 {
		return
	}
	// As many times a second as the rate is, so that it adds up to the increase.
	l.rate += l.peak * increase / l.rate
	switch {
	case l.ceiling > 0:
		l.rate = min(l.rate, l.ceiling)
	case l.rate > 4*l.peak:
		l.rate, l.peak = 0, 0 // the provider has long had enough to throttle us at
	}
}

// throttled slows down, once for all the calls that were under way together.
func (l *Limiter) throttled(began, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if began.Before(l.slowed) {
		return
	}
	l.slowed = now
	rate := l.rate
	if rate == 0 {
		rate = l.calls / max(now.Sub(l.since), burst).Seconds()
	}
	l.peak = max(rate, slowest)
	l.rate = max(rate*decrease, slowest)
}

// Limiters hand out one Limiter for each bucket. The zero value is ready, and safe for
// concurrent use. Limiters are small and kept until Retain.
type Limiters struct {
	mu   sync.Mutex
	byID map[string]*Limiter
}

// For returns the limiter of the bucket with that identity; ceiling is that of its first
// use.
func (l *Limiters) For(bucketID string, ceiling float64) *Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil {
		l.byID = map[string]*Limiter{}
	}
	limiter := l.byID[bucketID]
	if limiter == nil {
		limiter = NewLimiter(ceiling)
		l.byID[bucketID] = limiter
	}
	return limiter
}

// Retain drops the limiters of other buckets than these.
func (l *Limiters) Retain(bucketIDs map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.byID, func(id string, _ *Limiter) bool { return !bucketIDs[id] })
}
