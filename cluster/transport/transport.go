// Package transport connects the nodes of a cluster: one TLS port, on which ALPN separates
// Raft's streams from HTTP/2 requests, and the certificates that nodes trust one another by.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/hashicorp/raft"
)

// A Transport is the cluster port of this node, and its client for those of others. It is
// safe for concurrent use.
type Transport struct {
	config   Config
	security security
	conns    *connTracker
	listener *listener
	streams  *streamLayer
	server   *http.Server
	requests *httpClient
	client   *http.Client
	limit    LogLimiter
	serving  sync.WaitGroup
}

// Listen opens the port. No connection is accepted before Serve.
func Listen(c Config) (*Transport, error) {
	t := &Transport{config: c, security: security{c.Credentials, c.NodeIDs, c.AllowNames}, conns: newConnTracker(c.Dialer)}
	if c.NodeIDs != nil { // otherwise it is issued for this node
		own, err := c.Credentials.Certificate()
		if err != nil {
			return nil, err
		}
		if err := t.security.checkCaller(own.Leaf, c.ID); err != nil {
			return nil, fmt.Errorf("other nodes would refuse --cluster-cert: %w", err)
		}
	}
	var err error
	if t.listener, err = listen(c, t.security.server(), t.conns); err != nil {
		return nil, err
	}
	t.streams = &streamLayer{
		id: c.ID, accepted: t.listener.raft, greet: c.Greet,
		dial: func(ctx context.Context, id string) (net.Conn, error) { return t.dial(ctx, id, protocolRaft) },
	}
	t.server = newServer(c.Handler, c.Logger)
	t.requests = newClient(func(ctx context.Context, id string) (net.Conn, error) { return t.dial(ctx, id, protocolHTTP) })
	t.client = t.requests.client()
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

// Renew makes later requests use new connections, with the current certificate.
func (t *Transport) Renew() { t.requests.renew() }

// CloseUntrusted closes the connections to nodes whose certificate is no longer trusted.
func (t *Transport) CloseUntrusted() {
	t.conns.closeIf(func(state tls.ConnectionState) bool {
		_, err := t.security.verify(state, x509.ExtKeyUsageAny)
		return err != nil
	})
}

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
	t.conns.shook(conn, secure)
	return secure, nil
}

func (t *Transport) resolve(id string) (string, error) {
	if id == t.config.ID {
		return t.listener.local(), nil
	}
	return t.config.Resolve(id)
}
