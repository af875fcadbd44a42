package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

var errDisconnected = errors.New("this node has closed its connections to other nodes")

// connTracker knows all connections to other nodes, so that they can be closed at once:
// when this node stops, and when it must not lead any longer but cannot step down. It is
// safe for concurrent use.
type connTracker struct {
	dialer func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	closed bool
	open   map[*trackedConn]struct{}
}

func newConnTracker(dialer func(ctx context.Context, network, address string) (net.Conn, error)) *connTracker {
	if dialer == nil {
		dialer = (&net.Dialer{KeepAlive: 5 * time.Second}).DialContext
	}
	return &connTracker{dialer: dialer, open: map[*trackedConn]struct{}{}}
}

// dial opens a connection; its error is a *DialError.
func (t *connTracker) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := t.dialer(ctx, "tcp", address)
	if err != nil {
		return nil, &DialError{fmt.Errorf("connect to %s: %w", address, err)}
	}
	return t.add(conn)
}

// add tracks a connection. After closeAll it closes it instead, and returns an error.
func (t *connTracker) add(conn net.Conn) (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errors.Join(&DialError{errDisconnected}, conn.Close())
	}
	c := &trackedConn{Conn: conn, tracker: t}
	t.open[c] = struct{}{}
	return c, nil
}

// closeAll closes all connections, and those that are added later.
func (t *connTracker) closeAll() {
	t.mu.Lock()
	t.closed = true
	open := t.open
	t.open = nil
	t.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
}

// shook records the handshake on a connection that add has returned.
func (t *connTracker) shook(conn net.Conn, secure *tls.Conn) {
	if c, ok := conn.(*trackedConn); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		c.secure = secure
	}
}

// closeIf closes the connections for whose handshake condition returns true, and those in
// the middle of one.
func (t *connTracker) closeIf(condition func(tls.ConnectionState) bool) {
	t.mu.Lock()
	open := map[*trackedConn]*tls.Conn{}
	for c := range t.open {
		open[c] = c.secure
	}
	t.mu.Unlock()
	for c, secure := range open {
		if secure == nil || condition(secure.ConnectionState()) {
			_ = c.Close()
		}
	}
}

// trackedConn is a connection that removes itself from its tracker when it is closed.
type trackedConn struct {
	net.Conn
	tracker *connTracker
	secure  *tls.Conn // nil before the handshake is complete; tracker.mu guards it
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.tracker.mu.Lock()
	delete(c.tracker.open, c)
	c.tracker.mu.Unlock()
	return c.Conn.Close()
}
