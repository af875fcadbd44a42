package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// A server that is not the provider's can respond with anything: without an end, very
// slowly, on many connections. These bounds hold for every call of every client, because
// they are in the transport.
const (
	// maxSmall bounds a response whose call does not ask for more (WithResponseLimit).
	maxSmall = 1 << 20
	// maxErrorResponse bounds a response with an error status. Providers' error documents
	// have less than 2 KiB; proxies send pages of HTML.
	maxErrorResponse = 256 << 10
	// maxHeader bounds the header of a response. User metadata of an object, which is sent
	// with it, has at most 2 KiB on Amazon and 8 KiB on Google.
	maxHeader = 64 << 10
	// maxUnqueued is how much of any response is read at once. A usual page has 300 KiB.
	maxUnqueued = 512 << 10
	// maxLarge is how many responses a process reads beyond maxUnqueued. Others wait.
	maxLarge = 4
)

// MaxBuckets is how many buckets an account may have.
const MaxBuckets = 100_000

// ErrTooManyBuckets is returned when the list of an account's buckets does not end.
var ErrTooManyBuckets = fmt.Errorf("the list of buckets has more than %d", MaxBuckets)

// ErrTooSlow is the cause of the end of a response that arrives too slowly.
var ErrTooSlow = errors.New("the provider sends the response too slowly")

// A pace is how slowly a response may arrive.
type pace struct {
	// window is how long reads may mostly wait without least bytes having arrived in it.
	window time.Duration
	least  int64
	// whole is the maximum duration of a whole response.
	whole time.Duration
}

// usualPace lets 64 streams share a line of 2 Mbit/s.
func usualPace() pace {
	return pace{window: 30 * time.Second, least: 120 << 10, whole: 5 * time.Minute}
}

type responseLimit struct{}

// WithResponseLimit returns a context in which a call may have a response of up to n bytes
// rather than 1 MiB. It holds for status 2xx.
func WithResponseLimit(ctx context.Context, n int64) context.Context {
	return context.WithValue(ctx, responseLimit{}, n)
}

// bounded is a transport whose responses have bounds in bytes and time.
type bounded struct {
	next  http.RoundTripper
	large chan struct{} // holds a value for each response of more than maxUnqueued
	pace  pace
}

// newBounded returns a transport whose responses, all together, have bounds. The body of a
// response that exceeds its limit fails with an *Untrusted, that of one that is too slow
// with an *Error.
func newBounded(next http.RoundTripper, p pace) bounded {
	return bounded{next: next, large: make(chan struct{}, maxLarge), pace: p}
}

// RoundTrip implements http.RoundTripper.
func (t bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	response, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil || response.Body == nil || response.Body == http.NoBody {
		cancel(nil)
		return response, err
	}
	limit := int64(maxErrorResponse)
	if response.StatusCode/100 == 2 {
		limit = maxSmall
		if n, ok := r.Context().Value(responseLimit{}).(int64); ok {
			limit = n
		}
	}
	b := &boundedBody{transport: &t, ctx: ctx, cancel: cancel, body: response.Body, limit: limit, began: time.Now()}
	b.timer = time.AfterFunc(time.Hour, b.watch) // set before it can fire
	b.timer.Reset(t.pace.window)
	response.Body = b
	if response.StatusCode/100 != 2 {
		if err := b.readWhole(response); err != nil {
			return nil, err
		}
	}
	return response, nil
}

// CloseIdleConnections closes the connections that are not in use.
func (t bounded) CloseIdleConnections() { (&http.Client{Transport: t.next}).CloseIdleConnections() }

// boundedBody is the body of a response. Like others it is for one reader at a time.
type boundedBody struct {
	transport *bounded
	ctx       context.Context //nolint:containedctx // of the one response, to end it
	cancel    context.CancelCauseFunc
	body      io.ReadCloser
	limit     int64
	read      int64
	large     bool // it holds a place among the large ones
	began     time.Time

	timer   *time.Timer
	arrived atomic.Int64 // bytes in the present window
	waited  atomic.Int64 // nanoseconds in it that reads have waited for the server
	since   atomic.Int64 // when the present read began, after began; 0 without one
}

// watch ends a response that arrives too slowly. What the reader is slow with does not
// count, except against the whole time.
func (b *boundedBody) watch() {
	if b.ctx.Err() != nil {
		return
	}
	p := b.transport.pace
	arrived, waited, now := b.arrived.Swap(0), b.waited.Swap(0), time.Since(b.began)
	since := time.Duration(b.since.Load())
	if since > 0 {
		waited += int64(min(now-since, p.window))
	}
	if arrived < p.least && time.Duration(waited) > p.window/2 || since > 0 && now > p.whole {
		b.cancel(ErrTooSlow)
		return
	}
	b.timer.Reset(p.window)
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.read > b.limit {
		return 0, tooLong(b.limit)
	}
	if !b.large {
		if b.read == maxUnqueued {
			if err := b.enlarge(); err != nil {
				return 0, err
			}
		} else {
			p = p[:min(int64(len(p)), maxUnqueued-b.read)]
		}
	}
	// One more than the limit shows that there is more.
	p = p[:min(int64(len(p)), b.limit+1-b.read)]
	since := time.Since(b.began)
	b.since.Store(int64(max(since, 1)))
	n, err := b.body.Read(p)
	b.since.Store(0)
	b.waited.Add(int64(min(time.Since(b.began)-since, b.transport.pace.window)))
	b.read += int64(n)
	b.arrived.Add(int64(n))
	switch {
	case b.read > b.limit:
		n, err = 0, tooLong(b.limit)
	case err != nil && errors.Is(context.Cause(b.ctx), ErrTooSlow):
		err = &Error{Kind: Unavailable, Op: "read", Reason: ErrTooSlow.Error(), Err: ErrTooSlow}
	}
	if err != nil {
		b.release()
	}
	return n, err
}

// enlarge waits for a place among the large responses.
func (b *boundedBody) enlarge() error {
	select {
	case b.transport.large <- struct{}{}:
		b.large = true
		return nil
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

// readWhole reads the body of an error, so that the call fails if it cannot be read: clients
// go by the status alone when they cannot read an error's body.
func (b *boundedBody) readWhole(response *http.Response) error {
	whole, err := io.ReadAll(b)
	_ = b.Close()
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(whole))
	return nil
}

func (b *boundedBody) release() {
	b.timer.Stop()
	if b.large {
		b.large = false
		<-b.transport.large
	}
}

// Close implements io.Closer.
func (b *boundedBody) Close() error {
	b.release()
	err := b.body.Close()
	b.cancel(nil)
	return err
}
