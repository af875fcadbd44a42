package cluster

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// retryInterval is the pause before a request is sent to the next leader.
const retryInterval = 20 * time.Millisecond

// retry calls try until it returns no error or an error that another call cannot change
// (again is false), for at most limit. It returns the last result and error. The context
// of try ends with ErrNoLeader.
func retry[T any](ctx context.Context, limit, interval time.Duration, try func(context.Context) (result T, again bool, err error)) (result T, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrNoLeader)
	defer cancel()
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		var again bool
		if result, again, err = try(ctx); err != nil && !again {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(backoff.NewConstantBackOff(interval)), backoff.WithMaxElapsedTime(limit))
	return result, err
}
