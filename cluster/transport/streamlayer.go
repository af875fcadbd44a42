package transport

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// streamLayer carries Raft over the cluster port. The addresses of nodes are their ids:
// where a node is, Config.Resolve knows.
type streamLayer struct {
	id       string
	accepted *protocolListener
	dial     func(ctx context.Context, id string) (net.Conn, error)
	greet    func(conn net.Conn, id string) error
}

var _ raft.StreamLayer = (*streamLayer)(nil)

// Accept implements net.Listener.
func (s *streamLayer) Accept() (net.Conn, error) { return s.accepted.Accept() }

// Close implements net.Listener.
func (s *streamLayer) Close() error { return s.accepted.Close() }

// Addr implements net.Listener.
func (s *streamLayer) Addr() net.Addr { return nodeAddr(s.id) }

// Dial implements raft.StreamLayer.
func (s *streamLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, dialTimeout))
	defer cancel()
	conn, err := s.dial(ctx, string(address))
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if err := s.greet(conn, string(address)); err != nil {
		return nil, errors.Join(explainAlert(err), conn.Close())
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// nodeAddr is the address of a node as Raft knows it.
type nodeAddr string

// Network implements net.Addr.
func (nodeAddr) Network() string { return "node" }

// String implements net.Addr.
func (a nodeAddr) String() string { return string(a) }
