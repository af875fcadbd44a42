package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"
)

// The limits of the cluster port: of all connections, and of those whose other side has not
// proven to be a node.
const (
	maxConns, maxConnsPerHost     = 1024, 256
	maxPending, maxPendingPerHost = 128, 16
	maxPendingBytes               = 64 << 10
)

// listener accepts the connections of other nodes, completes the handshake, and passes each
// to the listener of its protocol.
type listener struct {
	tcp net.Listener
	// advertised is the address that others dial: the advertised host, and the port.
	advertised     string
	tls            *tls.Config
	conns          *connTracker
	logger         *slog.Logger
	acceptGreeting func(net.Conn) error

	// pending counts connections until handshake and greeting are complete, all those too.
	pending, all Gate

	raft, http *protocolListener
	limit      LogLimiter
	work       sync.WaitGroup
}

func listen(c Config, security *tls.Config, conns *connTracker) (*listener, error) {
	tcp, err := net.Listen("tcp", c.ListenAddr)
	if err != nil {
		return nil, ListenError("--cluster-addr", c.ListenAddr, err)
	}
	_, port, err := net.SplitHostPort(tcp.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on --cluster-addr: %w", err), tcp.Close())
	}
	return &listener{
		tcp: tcp, advertised: net.JoinHostPort(c.AdvertiseHost, port), tls: security, conns: conns, logger: c.Logger,
		acceptGreeting: c.AcceptGreeting, raft: newProtocolListener(tcp.Addr()), http: newProtocolListener(tcp.Addr()),
		pending: Gate{Total: maxPending, PerHost: maxPendingPerHost, Bytes: maxPendingBytes},
		all:     Gate{Total: maxConns, PerHost: maxConnsPerHost},
	}, nil
}

// local returns the address that this node reaches itself at.
func (l *listener) local() string {
	at, ok := l.tcp.Addr().(*net.TCPAddr)
	if ok && at.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(at.Port))
	}
	return l.tcp.Addr().String()
}

// run accepts connections until close.
func (l *listener) run() {
	for {
		conn, err := l.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.logger.Warn("accepting a cluster connection failed", "error", err)
			time.Sleep(100 * time.Millisecond) // most likely out of file descriptors
			continue
		}
		counted, err := l.all.Admit(conn)
		if err != nil {
			l.refused(conn, "too many connections on the cluster port", err)
			continue
		}
		stranger, err := l.pending.Admit(counted)
		if err != nil {
			l.refused(conn, "too many handshakes on the cluster port", err)
			continue
		}
		l.work.Go(func() { l.accept(stranger) })
	}
}

// refused logs why a connection was closed, once a minute for each host.
func (l *listener) refused(conn net.Conn, what string, err error) {
	from := conn.RemoteAddr().String()
	host, _, _ := net.SplitHostPort(from)
	if !errors.Is(err, net.ErrClosed) && l.limit.Allow(what+host) {
		l.logger.Warn(what, "from", from, "error", err)
	}
}

// accept completes the handshake of a connection.
func (l *listener) accept(stranger *GatedConn) {
	conn, err := l.conns.add(stranger)
	if err != nil {
		return
	}
	secure := tls.Server(conn, l.tls)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		what := "TLS handshake on the cluster port failed"
		if errors.Is(err, errNotNode) {
			what = "certificate refused on the cluster port"
		}
		l.refused(conn, what, explainAlert(err))
		return
	}
	l.conns.shook(conn, secure)
	if secure.ConnectionState().NegotiatedProtocol != protocolRaft {
		stranger.Release()
		l.http.deliver(secure)
		return
	}
	_ = secure.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := l.acceptGreeting(secure); err != nil {
		_ = secure.Close()
		if !errors.Is(err, net.ErrClosed) && l.limit.Allow("greeting "+err.Error()) {
			l.logger.Warn("Raft connection refused", "from", conn.RemoteAddr().String(), "error", err)
		}
		return
	}
	_ = secure.SetDeadline(time.Time{})
	stranger.Release()
	l.raft.deliver(secure)
}

// close ends run and frees the port. It does not close connections: see connTracker.
func (l *listener) close() error {
	err := l.tcp.Close()
	l.raft.closeOnce()
	l.http.closeOnce()
	l.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// protocolListener is the net.Listener for the connections of one protocol.
type protocolListener struct {
	address   net.Addr
	conns     chan net.Conn
	closed    chan struct{}
	closeOnce func()
}

var _ net.Listener = (*protocolListener)(nil)

func newProtocolListener(address net.Addr) *protocolListener {
	l := &protocolListener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	l.closeOnce = sync.OnceFunc(func() { close(l.closed) })
	return l
}

func (l *protocolListener) deliver(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (l *protocolListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *protocolListener) Close() error {
	l.closeOnce()
	return nil
}

// Addr implements net.Listener.
func (l *protocolListener) Addr() net.Addr { return l.address }
