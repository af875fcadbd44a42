package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// query is something to ask a node again and again.
type query struct {
	name string
	// path answers the i-th request, so that not all ask the same.
	path func(i int) string
}

// queryRow is one line of a table of queries.
type queryRow struct {
	name     string
	times    latencies
	rate     float64
	cpu      time.Duration
	requests int
}

// ask measures one query against a node.
func (b *bench) ask(ctx context.Context, n *node, q query) (queryRow, error) {
	b.log.Info("asking", "query", q.name)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	do := func(ctx context.Context, i int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+q.path(i), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+n.owner.token)
		req.Header.Set("X-Organization-Id", org)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("GET %s: status %s", req.URL, resp.Status)
		}
		return err
	}
	// A second at a tenth of the rate: connections, and the pages that a warm node has.
	if _, err := openLoop(ctx, max(1, b.rate/10), time.Second, do); err != nil {
		return queryRow{}, err
	}
	m, err := n.meter()
	if err != nil {
		return queryRow{}, err
	}
	start := time.Now()
	times, err := openLoop(ctx, b.rate, b.duration, do)
	if err != nil {
		return queryRow{}, err
	}
	took := time.Since(start)
	u, err := m.read()
	return queryRow{q.name, times, float64(len(times)) / took.Seconds(), u.cpu(), len(times)}, err
}
