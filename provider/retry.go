package provider

import (
	"context"
	"math/rand/v2"
	"time"
)

// RetryOptions bound what Retry does. A zero field takes its default.
type RetryOptions struct {
	// Attempts is how often a call is made at most; 6.
	Attempts int
	// Base is the pause after the first failure; it doubles with each one, up to Max.
	// 100 ms and 10 s. A throttled call waits four times as long.
	Base, Max time.Duration
	// Timeout bounds one attempt, so that an answer which dries up in the middle
	// fails and is asked for again; 60 s.
	Timeout time.Duration
}

func (o RetryOptions) withDefaults() RetryOptions {
	if o.Attempts <= 0 {
		o.Attempts = 6
	}
	if o.Base <= 0 {
		o.Base = 100 * time.Millisecond
	}
	if o.Max <= 0 {
		o.Max = 10 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	return o
}

// Retry makes a bucket whose calls are tried again while they fail for a temporary
// reason (Kind.Temporary). Pauses grow exponentially and are jittered, so that streams
// which were throttled together do not come back together. The last failure is the
// call's. It stops at once when ctx ends.
func Retry(b Bucket, opts RetryOptions) Bucket {
	return around{b, retrier{opts.withDefaults()}.run}
}

type retrier struct{ RetryOptions }

func (r retrier) run(ctx context.Context, op string, do func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := r.once(ctx, op, do)
		if err == nil || attempt == r.Attempts || !KindOf(err).Temporary() {
			return err
		}
		if ended := pause(ctx, r.delay(attempt, KindOf(err))); ended != nil {
			return Ended(ctx, op, "")
		}
	}
}

// once makes one attempt in bounded time.
func (r retrier) once(ctx context.Context, op string, do func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	err := do(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return &Error{Kind: Unavailable, Op: op, Reason: "the provider did not answer within " + r.Timeout.String()}
	}
	return err
}

// delay is between half of the full pause and all of it.
func (r retrier) delay(attempt int, kind Kind) time.Duration {
	full := r.Base << min(attempt-1, 16)
	if kind == Throttled {
		full *= 4
	}
	full = min(full, r.Max)
	return full/2 + rand.N(full/2+1)
}

// pause waits, and tells why when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
