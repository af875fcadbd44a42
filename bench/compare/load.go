package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// latencies are measured times in ascending order.
type latencies []time.Duration

// quantile returns the q-quantile.
func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)-1, int(q*float64(len(l))))]
}

// spread returns the median and the maximum, each minus base, as text.
func (l latencies) spread(base time.Duration) string {
	return fmt.Sprintf("%v, %v", round(l.quantile(0.5)-base), round(l.quantile(1)-base))
}

// openLoop calls do at a fixed rate for the given duration, whether or not earlier calls
// have returned. Latency is measured from the time at which a call was due, so that a
// stall counts in all calls that it delays. It returns the first error of a call.
func openLoop(ctx context.Context, rate int, duration time.Duration, do func(ctx context.Context, i int) error) (latencies, error) {
	const workers = 128
	total := int(duration.Seconds() * float64(rate))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type call struct {
		i   int
		due time.Time
	}
	// The queue has room for all calls, so that sending never blocks.
	queue := make(chan call, total)
	times := make([][]time.Duration, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for c := range queue {
				if err := do(ctx, c.i); err != nil {
					cancel(err)
					return
				}
				times[w] = append(times[w], time.Since(c.due))
			}
		})
	}
	start := time.Now()
	for i := range total {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if ctx.Err() != nil {
			break
		}
		queue <- call{i, due}
	}
	close(queue)
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	all := latencies(slices.Concat(times...))
	slices.Sort(all)
	return all, ctx.Err()
}
