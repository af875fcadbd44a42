package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// dialWait bounds how long a connection to another node may take to come about, its
	// handshake included. A node on the other side of a partition answers nothing at all.
	dialWait = 2 * time.Second
	// greetWait bounds how long a connection that another node opens may take to say what
	// it is for.
	greetWait = 5 * time.Second
)

var errCut = errors.New("this node has cut its connections with the others")

// dialError is returned when no connection came about: nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// wire holds all connections with other nodes, so that they can be cut at once: when this
// node stops, and when it must not lead any longer and cannot step down. It is safe for
// concurrent use.
type wire struct {
	// dialer opens connections; tests put faults into it.
	dialer func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	isCut  bool
	actual map[*tracked]struct{}
}

func newWire(dialer func(ctx context.Context, network, address string) (net.Conn, error)) *wire {
	if dialer == nil {
		dialer = (&net.Dialer{KeepAlive: 5 * time.Second}).DialContext
	}
	return &wire{dialer: dialer, actual: map[*tracked]struct{}{}}
}

// dial opens a connection; its error is a *dialError.
func (w *wire) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := w.dialer(ctx, "tcp", address)
	if err != nil {
		return nil, &dialError{fmt.Errorf("connect to %s: %w", address, err)}
	}
	return w.track(conn)
}

// track takes a connection in. It is closed when the wire is cut already.
func (w *wire) track(conn net.Conn) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isCut {
		return nil, errors.Join(&dialError{errCut}, conn.Close())
	}
	t := &tracked{Conn: conn, wire: w}
	w.actual[t] = struct{}{}
	return t, nil
}

// cut closes all connections, and those that come later.
func (w *wire) cut() {
	w.mu.Lock()
	w.isCut = true
	actual := w.actual
	w.actual = nil
	w.mu.Unlock()
	for t := range actual {
		_ = t.Conn.Close()
	}
}

// tracked is a connection that wire knows.
type tracked struct {
	net.Conn
	wire *wire
}

// Close implements net.Conn.
func (t *tracked) Close() error {
	t.wire.mu.Lock()
	delete(t.wire.actual, t)
	t.wire.mu.Unlock()
	return t.Conn.Close()
}
