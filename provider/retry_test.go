package provider_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firescan/provider"
)

func fails(kind provider.Kind) error {
	return &provider.Error{Kind: kind, Op: "list", Reason: "scripted"}
}

func TestRetryByKind(t *testing.T) {
	for kind := provider.Internal; kind <= provider.Changed; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				b := provider.Retry(scripted(func(context.Context) error { calls++; return fails(kind) }),
					provider.RetryOptions{Attempts: 4})
				err := list(t.Context(), b)
				want := 1
				if kind.Temporary() {
					want = 4
				}
				if provider.KindOf(err) != kind || calls != want {
					t.Errorf("%d calls, want %d; error %v", calls, want, err)
				}
			})
		})
	}
}

func TestRetryRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		b := provider.Retry(scripted(func(context.Context) error {
			if calls++; calls < 3 {
				return fails(provider.Unavailable)
			}
			return nil
		}), provider.RetryOptions{})
		info, err := b.Stat(t.Context(), "key")
		if err != nil || calls != 3 || info.Key != "key" {
			t.Errorf("%d calls, %+v, %v", calls, info, err)
		}
	})
}

func TestRetryPauses(t *testing.T) {
	for _, c := range []struct {
		kind     provider.Kind
		min, max time.Duration
	}{
		{provider.Unavailable, 50 * 7 * time.Millisecond, 100 * 7 * time.Millisecond}, // 1 + 2 + 4 steps
		{provider.Throttled, 200 * 7 * time.Millisecond, 400 * 7 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			b := provider.Retry(scripted(func(context.Context) error { return fails(c.kind) }), provider.RetryOptions{Attempts: 4})
			_ = list(t.Context(), b)
			if took := time.Since(began); took < c.min || took > c.max {
				t.Errorf("%v: paused %v, want %v to %v", c.kind, took, c.min, c.max)
			}
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := provider.Retry(scripted(func(context.Context) error { return fails(provider.Unavailable) }),
			provider.RetryOptions{Attempts: 1000, Base: 10 * time.Second, Max: time.Hour})
		began := time.Now()
		err := list(ctx, b)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestRetryGivesUpOnAnAnswerThatDriesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		b := provider.Retry(scripted(func(ctx context.Context) error {
			if calls++; calls == 2 {
				return nil
			}
			<-ctx.Done()
			return provider.Ended(ctx, "list", "bucket")
		}), provider.RetryOptions{Timeout: time.Second})
		if err := list(t.Context(), b); err != nil || calls != 2 {
			t.Errorf("%d calls, %v", calls, err)
		}
		// And when that was the last attempt, it is no cancellation.
		hangs := scripted(func(ctx context.Context) error {
			<-ctx.Done()
			return provider.Ended(ctx, "list", "bucket")
		})
		err := list(t.Context(), provider.Retry(hangs, provider.RetryOptions{Timeout: time.Second, Attempts: 2}))
		if provider.KindOf(err) != provider.Unavailable || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// TestThrottledPausesHaveJitter checks that calls which were throttled together do not
// return together, also at the maximum pause.
func TestThrottledPausesHaveJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := provider.Retry(scripted(func(context.Context) error { return fails(provider.Throttled) }),
			provider.RetryOptions{Attempts: 2, Base: time.Second, Max: time.Second})
		pauses := map[time.Duration]bool{}
		for range 20 {
			began := time.Now()
			_ = list(t.Context(), b)
			pauses[time.Since(began)] = true
		}
		if len(pauses) < 2 {
			t.Errorf("all pauses are %v", pauses)
		}
	})
}
