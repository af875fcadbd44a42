package provider

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// RetryOptions bound what Retry does. A zero field takes its default.
type RetryOptions struct {
	// Attempts is the maximum number of attempts; default 6.
	Attempts int
	// Base is the pause after the first failure, which doubles with each further one up to
	// Max; defaults 100 ms and 10 s. A throttled call waits four times as long.
	Base, Max time.Duration
	// Timeout bounds one attempt, so that a response that stalls is requested again;
	// default 60 s.
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

// Retry returns a bucket whose calls are retried while they fail for a temporary reason
// (Kind.Temporary). Pauses grow exponentially and have jitter, so that streams that were
// throttled together do not return together. A call that fails to the end returns its
// last failure. It stops at once when ctx ends. An earlier attempt of a delete that may
// still act is recorded in the log of ctx; see LogAttempts.
func Retry(b Bucket, opts RetryOptions) SerialLister {
	return wrapper{newAttempts(b), retrier{opts.withDefaults()}.run}
}

type retrier struct{ options RetryOptions }

func (r retrier) run(ctx context.Context, op string, do func(context.Context) error) error {
	pauses := r.pauses()
	mayAct := false
	attempt := func() (struct{}, error) {
		err := r.once(ctx, op, do)
		mayAct = mayAct || MayStillAct(err)
		if err != nil && !KindOf(err).Temporary() {
			return struct{}{}, backoff.Permanent(err)
		}
		pauses.throttled = KindOf(err) == Throttled
		return struct{}{}, err
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pauses),
		backoff.WithMaxTries(uint(r.options.Attempts)), backoff.WithMaxElapsedTime(0))
	if permanent, ok := errors.AsType[*backoff.PermanentError](err); ok { // the last attempt
		return permanent.Unwrap()
	}
	if err != nil && err == context.Cause(ctx) { //nolint:errorlint // backoff returns it as it is when a pause ends early
		if mayAct {
			return Ended(ctx, op, "")
		}
		return unsent(ctx, op)
	}
	return err
}

// once makes one attempt in bounded time.
func (r retrier) once(ctx context.Context, op string, do func(context.Context) error) error {
	if err := unsent(ctx, op); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	err := do(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return &Error{
			Kind: Unavailable, Op: op, NoEffect: !MayStillAct(err),
			Reason: "the provider did not respond within " + r.options.Timeout.String(),
		}
	}
	return err
}

// pauses are exponential pauses between half of the full pause and all of it.
func (r retrier) pauses() *pauses {
	growing := backoff.NewExponentialBackOff()
	growing.InitialInterval, growing.MaxInterval, growing.Multiplier = r.options.Base, r.options.Max, 2
	growing.RandomizationFactor = 0 // NextBackOff adds jitter below the maximum
	return &pauses{growing: growing, max: r.options.Max}
}

type pauses struct {
	growing   *backoff.ExponentialBackOff
	max       time.Duration
	throttled bool // the last attempt was
}

// NextBackOff implements backoff.BackOff.
func (p *pauses) NextBackOff() time.Duration {
	full := p.growing.NextBackOff()
	if p.throttled {
		full *= 4
	}
	full = min(full, p.max)
	return full/2 + rand.N(full/2+1)
}

// Reset implements backoff.BackOff.
func (p *pauses) Reset() { p.growing.Reset() }

// wait waits for d, and returns ctx's error when ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
