package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// latencies are measured times, ascending.
type latencies []time.Duration

// quantile is the time that the share q of all did not exceed.
func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)-1, int(q*float64(len(l))))]
}

// spread tells the median and the most, each less a base.
func (l latencies) spread(base time.Duration) string {
	return fmt.Sprintf("%v, %v", round(l.quantile(0.5)-base), round(l.quantile(1)-base))
}

// openLoop calls do at a fixed rate, whether or not earlier calls have returned, for
// the given time. The time of a call counts from when it was due, so a stall is seen
// by all calls that it held up. It answers the first error of a call.
func openLoop(ctx context.Context, rate int, duration time.Duration, do func(ctx context.Context, i int) error) (latencies, error) {
	const workers = 128
	total := int(duration.Seconds() * float64(rate))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type call struct {
		i   int
		due time.Time
	}
	// The queue holds all calls: the clock below never waits for a worker.
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
