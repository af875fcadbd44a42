package api

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// A request that waited in the socket of a frozen node looks new when the node reads it,
// although its client may have given up long ago and changed the record through another
// node since. So a mutation checks, first and again before it proposes a change, that its
// client is still connected, and that the node was not frozen since the client's last sign
// of life: the operating system notes when the last data arrived, also while the process is
// stopped.

const (
	// unknownAge is the age of a request at most that the system does not report: how long
	// after a freeze requests are read that may be older.
	unknownAge = time.Second
	// timeLeftHeader has the remaining time of a request that another node forwarded, in
	// milliseconds.
	timeLeftHeader = "X-Firescan-Time-Left"
)

type connKey struct{}

// ConnContext is for http.Server: requests learn from their connection when they arrived,
// and whether their client still waits.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return context.WithValue(ctx, connKey{}, raw)
		}
	}
	return ctx
}

// lastSign returns how long ago the client has sent something, and whether it has hung up.
func (c *call) lastSign() (age time.Duration, hungUp bool) {
	raw, ok := c.Request.Context().Value(connKey{}).(syscall.RawConn)
	if !ok {
		return unknownAge, false
	}
	age, hungUp, ok = connState(raw)
	if !ok || c.Request.ProtoMajor > 1 { // others share the connection
		age = max(age, unknownAge)
	}
	return age, hungUp
}

// inTime returns nil while the client of a mutation waits for it, and otherwise why the
// mutation must not begin.
func (c *call) inTime() error {
	age, hungUp := c.lastSign()
	switch {
	case c.context().Err() != nil:
		return context.Cause(c.context())
	case hungUp:
		return context.Canceled
	case c.backend.freezer != nil && c.backend.freezer.FrozenSince(time.Now().Add(-age)):
		c.backend.metrics.late.Inc()
		return &Error{Code: CodeNoLeader, Message: "This node was frozen while the request waited; nothing was changed, send it again"}
	}
	if end, ok := c.context().Deadline(); ok && !time.Now().Before(end) { // its timer may be behind
		return context.DeadlineExceeded
	}
	return nil
}

// mutates reports whether the request may change something.
func (c *call) mutates() bool {
	m := c.Request.Method
	return m != http.MethodGet && m != http.MethodHead && c.route.access != Public
}

// timeout returns the time that a request has from now on: that of its route, less what has
// passed since it arrived, here or on the node that forwarded it.
func (c *call) timeout() time.Duration {
	left := c.route.timeout
	if raw, ok := c.Request.Context().Value(connKey{}).(syscall.RawConn); ok {
		if age, _, ok := connState(raw); ok {
			left -= age
		}
	}
	if ms, err := strconv.ParseInt(c.Request.Header.Get(timeLeftHeader), 10, 64); err == nil {
		left = min(left, time.Duration(ms)*time.Millisecond)
	}
	return max(left, 0)
}
