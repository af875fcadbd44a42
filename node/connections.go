package node

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/cluster/transport"
)

// refusalsEvery is how often refused connections are logged.
const refusalsEvery = time.Minute

// maxMetricsConnections is the number of connections to --metrics-addr.
const maxMetricsConnections = 128

// A boundedListener closes new connections while too many are open. Each may hold headers
// and buffers before anybody is authenticated.
type boundedListener struct {
	*net.TCPListener
	gate    *transport.Gate
	log     *slog.Logger
	refused prometheus.Counter

	mu     sync.Mutex
	logged time.Time
}

// listenBounded listens on the address of a flag.
func listenBounded(flag, address string, gate *transport.Gate, log *slog.Logger) (*boundedListener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, transport.ListenError(flag, address, err)
	}
	return &boundedListener{
		TCPListener: l.(*net.TCPListener), gate: gate, log: log.With("flag", flag), //nolint:forcetypeassert // as net.Listen documents
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firescan_http_connections_refused_total", Help: "Connections to --http-addr that were closed because too many were open.",
		}),
	}, nil
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		leave, err := l.gate.Enter(conn)
		if err == nil {
			return &boundedConn{conn, leave}, nil
		}
		l.refuse(conn, err)
	}
}

func (l *boundedListener) refuse(conn net.Conn, why error) {
	_ = conn.Close()
	l.refused.Inc()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.logged) >= refusalsEvery {
		l.logged = now
		l.log.Warn("a connection was refused because too many are open: look for an attack, or for clients that leave connections open", "address", conn.RemoteAddr(), "error", why)
	}
}

// A boundedConn counts at the gate until it is closed. What else a TCP connection can do
// stays visible, since the HTTP server and the API need it.
type boundedConn struct {
	*net.TCPConn
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.leave()
	return c.TCPConn.Close()
}
