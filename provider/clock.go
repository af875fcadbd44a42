package provider

import (
	"net/http"
	"sync/atomic"
	"time"
)

// A Clock measures how far a provider's clock is ahead of this machine's, by the Date
// header of its responses. The zero value is ready, and safe for concurrent use.
type Clock struct{ offset atomic.Pointer[time.Duration] }

// Offset returns the last measured offset, negative when the provider's clock is behind.
// It is false before the first response with a date.
func (c *Clock) Offset() (time.Duration, bool) {
	offset := c.offset.Load()
	if offset == nil {
		return 0, false
	}
	return *offset, true
}

// Measure returns a transport that measures each response of next.
func (c *Clock) Measure(next http.RoundTripper) http.RoundTripper {
	return clockTransport{next, c}
}

type clockTransport struct {
	next  http.RoundTripper
	clock *Clock
}

// RoundTrip implements http.RoundTripper.
func (t clockTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	response, err := t.next.RoundTrip(r)
	// A gateway that fails in the provider's place has a clock too.
	if err == nil && response.StatusCode < http.StatusInternalServerError {
		if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			t.clock.record(date, sent, time.Now())
		}
	}
	return response, err
}

// record records a response that was dated somewhere between sent and received. A date has
// no fractions of a second. Of the offsets that this leaves, the smallest is taken.
func (c *Clock) record(date, sent, received time.Time) {
	least, most := date.Sub(received), date.Add(time.Second).Sub(sent)
	offset := max(least, 0) + min(most, 0)
	c.offset.Store(&offset)
}

// ClockOffset returns how far the clock of b's provider was ahead of this machine's at the
// last response. It is false when that is unknown.
func ClockOffset(b Bucket) (time.Duration, bool) {
	if clocked, ok := As[interface {
		ClockOffset() (time.Duration, bool)
	}](b); ok {
		return clocked.ClockOffset()
	}
	return 0, false
}
