package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetry(t *testing.T) {
	failed := errors.New("failed")
	for _, tc := range []struct {
		what     string
		failures int // of try before it succeeds
		again    bool
		calls    int
		want     error
	}{
		{"success", 0, true, 1, nil},
		{"success after two failures", 2, true, 3, nil},
		{"permanent failure", 2, false, 1, failed},
		{"limit", 100, true, 10, failed},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls, start := 0, time.Now()
			_, err := retry(t.Context(), time.Second, 100*time.Millisecond, func(context.Context) (int, bool, error) {
				if calls++; calls <= tc.failures {
					return 0, tc.again, failed
				}
				return 0, false, nil
			})
			if !errors.Is(err, tc.want) || calls < tc.calls || calls > tc.calls+1 || time.Since(start) > time.Second {
				t.Errorf("%s: %v after %d calls and %v", tc.what, err, calls, time.Since(start))
			}
		})
	}
}

// TestRetryEndsWithItsContext cancels the caller, and lets the limit pass during a call.
func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := retry(ctx, time.Minute, 30*time.Second, func(context.Context) (int, bool, error) { return 0, true, ErrNoLeader })
		if !errors.Is(err, ErrNoLeader) || time.Since(start) > time.Second {
			t.Errorf("canceled: %v after %v", err, time.Since(start))
		}
		_, err = retry(t.Context(), time.Second, time.Millisecond, func(ctx context.Context) (int, bool, error) {
			<-ctx.Done()
			return 0, true, context.Cause(ctx)
		})
		if !errors.Is(err, ErrNoLeader) {
			t.Errorf("limit: %v, want ErrNoLeader", err)
		}
	})
}
