// Package transport connects the nodes of a cluster: one TLS port, on which ALPN separates
// Raft's streams from HTTP/2 requests, and the certificates that nodes trust one another by.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Config is the configuration of a Transport. All fields but Dialer are required.
type Config struct {
	// ID is the id of this node, the common name of its certificate.
	ID string
	// ListenAddr is the host:port to listen on; port 0 takes a free one. AdvertiseHost is
	// the host that other nodes reach it at.
	ListenAddr, AdvertiseHost string
	Credentials               Credentials
	// Resolve returns the host:port of another node's cluster port.
	Resolve func(id string) (string, error)
	// Greet runs on each Raft stream that this node opens to node id, and AcceptGreeting on
	// each that it accepts. An error closes the stream.
	Greet          func(conn net.Conn, id string) error
	AcceptGreeting func(conn net.Conn) error
	// Handler serves the HTTP requests of other nodes.
	Handler http.Handler
	Logger  *slog.Logger
	// Dialer replaces net.Dialer.DialContext in tests.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	// dialTimeout bounds opening a connection, including its handshake. A node on the other
	// side of a partition does not even refuse.
	dialTimeout = 2 * time.Second
	// handshakeTimeout bounds the handshake and the greeting of an accepted connection.
	handshakeTimeout = 5 * time.Second
)

// A DialError is returned when no connection was established: nothing was sent.
type DialError struct{ Err error }

func (e *DialError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// A Transport is the cluster port of this node, and its client for those of others. It is
// safe for concurrent use.
type Transport struct {
	config   Config
	security security
	conns    *connTracker
	listener *listener
	streams  *streamLayer
	server   *http.Server
	client   *http.Client
	limit    LogLimiter
	serving  sync.WaitGroup
}

// Listen opens the port. No connection is accepted before Serve.
func Listen(c Config) (*Transport, error) {
	t := &Transport{config: c, security: security{c.Credentials}, conns: newConnTracker(c.Dialer)}
	var err error
	if t.listener, err = listen(c, t.security.server(), t.conns); err != nil {
		return nil, err
	}
	t.streams = &streamLayer{transport: t, accepted: t.listener.raft}
	t.server = newServer(c.Handler, c.Logger)
	t.client = newClient(func(ctx context.Context, id string) (net.Conn, error) { return t.dial(ctx, id, protocolHTTP) })
	return t, nil
}

// Serve starts to accept connections, until Close.
func (t *Transport) Serve() {
	t.listener.work.Go(t.listener.run)
	t.serving.Go(func() { _ = t.server.Serve(t.listener.http) })
}

// Address returns the host:port that other nodes reach this one at.
func (t *Transport) Address() string { return t.listener.advertised }

// StreamLayer returns the connections for raft.NewNetworkTransport. Addresses of nodes are
// their ids.
func (t *Transport) StreamLayer() raft.StreamLayer { return t.streams }

// Client returns the client for requests to other nodes: "https://<node id>/…", over HTTP/2
// with mutual TLS. A request to a node that falls silent fails within some seconds;
// otherwise only its context bounds it.
func (t *Transport) Client() *http.Client { return t.client }

// Shutdown lets the HTTP requests of other nodes finish, until ctx ends.
func (t *Transport) Shutdown(ctx context.Context) { _ = t.server.Shutdown(ctx) } // Close cuts the rest

// Disconnect closes all connections, and those that are opened later.
func (t *Transport) Disconnect() { t.conns.closeAll() }

// Close closes the port and all connections.
func (t *Transport) Close() error {
	t.Disconnect()
	err := errors.Join(t.server.Close(), t.listener.close())
	t.client.CloseIdleConnections()
	t.serving.Wait()
	return err
}

// dial opens a connection to a node for a protocol of the cluster port. Its error is a
// *DialError.
func (t *Transport) dial(ctx context.Context, id, protocol string) (net.Conn, error) {
	address, err := t.resolve(id)
	if err != nil {
		return nil, &DialError{err}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &DialError{fmt.Errorf("parse the address of node %s: %w", id, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := t.conns.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, t.security.client(id, host, protocol))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		err = fmt.Errorf("node %s at %s: %w", id, address, explainAlert(err))
		if errors.Is(err, ErrOtherSecret) && t.limit.Allow("dial "+id) {
			t.config.Logger.Warn("TLS handshake with another node failed", "peer", id, "address", address, "error", err)
		}
		return nil, &DialError{err}
	}
	return secure, nil
}

func (t *Transport) resolve(id string) (string, error) {
	if id == t.config.ID {
		return t.listener.local(), nil
	}
	return t.config.Resolve(id)
}
