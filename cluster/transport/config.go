package transport

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Config is the configuration of a Transport. Fields without a remark are required.
type Config struct {
	// ID is the id of this node, the common name of its certificate.
	ID string
	// ListenAddr is the host:port to listen on; port 0 takes a free one. AdvertiseHost is
	// the host that other nodes reach it at.
	ListenAddr, AdvertiseHost string
	Credentials               Credentials
	// NodeIDs returns the ids of the nodes. Callers must have a certificate that names one of
	// them. nil accepts all certificates of the authorities.
	NodeIDs func() []string
	// AllowNames are patterns (path.Match) of names that certificates of any node may have
	// instead. Optional.
	AllowNames []string
	// Resolve returns the host:port of another node's cluster port.
	Resolve func(id string) (string, error)
	// Greet runs on each Raft stream that this node opens to node id, and AcceptGreeting on
	// each that it accepts. An error closes the stream.
	Greet          func(conn net.Conn, id string) error
	AcceptGreeting func(conn net.Conn) error
	// Handler serves the HTTP requests of other nodes.
	Handler http.Handler
	Logger  *slog.Logger
	// Dialer replaces net.Dialer.DialContext in tests. Optional.
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
