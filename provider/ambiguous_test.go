package provider_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firescan/provider"
	"firescan/provider/mem"
)

func TestMayStillAct(t *testing.T) {
	for kind := provider.Internal; kind <= provider.Changed; kind++ {
		want := kind.Temporary() || kind == provider.Internal
		if got := provider.MayStillAct(&provider.Error{Kind: kind}); got != want {
			t.Errorf("%v: %v, want %v", kind, got, want)
		}
		if provider.MayStillAct(&provider.Error{Kind: kind, NoEffect: true}) {
			t.Errorf("%v without effect may still act", kind)
		}
	}
	if provider.MayStillAct(nil) || !provider.MayStillAct(errors.New("unknown")) {
		t.Error("of no error, or of one that is not the seam's")
	}
}

// TestRetryReportsAmbiguousAttempts: a retry that succeeds must not hide an attempt whose
// connection was cut.
func TestRetryReportsAmbiguousAttempts(t *testing.T) {
	cut := &provider.Error{Kind: provider.Unavailable, Op: "delete", Reason: "the connection was cut"}
	refused := &provider.Error{Kind: provider.Throttled, Op: "delete", Reason: "slow down", NoEffect: true}
	for name, c := range map[string]struct {
		first error
		want  bool
	}{"cut": {cut, true}, "refused": {refused, false}, "none": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := map[string]int{}
				account := mem.New(mem.Options{Faults: mem.Faults{Delete: func(_ context.Context, _, key string) error {
					if calls[key]++; calls[key] == 1 && key != "good" {
						return c.first
					}
					return nil
				}}}, "bucket")
				b := provider.Retry(account.Bucket("bucket"), provider.RetryOptions{})
				ctx, log := provider.LogAttempts(t.Context())
				if err := b.Delete(ctx, "single", ""); err != nil {
					t.Fatal(err)
				}
				for _, err := range b.DeleteBatch(ctx, []provider.Deletion{{Key: "batched"}, {Key: "good"}}) {
					if err != nil {
						t.Fatal(err)
					}
				}
				for key, want := range map[string]bool{"single": c.want, "batched": c.want, "good": false} {
					if got := log.Ambiguous(key); got != want {
						t.Errorf("%s: ambiguous %v, want %v", key, got, want)
					}
				}
			})
		})
	}
}

// TestAttemptsThatWereNeverSent are not ambiguous: the rate limit, or a context that had
// ended.
func TestAttemptsThatWereNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		limiter := provider.NewLimiter(0.01)
		b := provider.Retry(provider.Limit(scripted(func(context.Context) error { calls++; return nil }), limiter),
			provider.RetryOptions{Attempts: 2, Timeout: time.Second})
		ctx, log := provider.LogAttempts(t.Context())
		for range 3 { // one is within the limiter's burst
			_ = b.Delete(ctx, "key", "")
		}
		for _, err := range b.DeleteBatch(ctx, []provider.Deletion{{Key: "key"}}) {
			if err == nil || provider.MayStillAct(err) {
				t.Errorf("a batch that waits for the limiter: %v", err)
			}
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := b.Delete(ended, "key", ""); !errors.Is(err, context.Canceled) || provider.MayStillAct(err) {
			t.Errorf("after the end of the context: %v", err)
		}
		if calls > 2 || log.Ambiguous("key") {
			t.Errorf("%d calls, ambiguous: %v", calls, log.Ambiguous("key"))
		}
	})
}
