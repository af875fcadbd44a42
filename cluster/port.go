package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// port is the one listener that other nodes reach this node at. It shakes hands and hands
// each connection to the one that its protocol is for.
type port struct {
	listener net.Listener
	// address is what others dial: the host that is advertised, and the port.
	address string
	tls     *tls.Config
	wire    *wire
	logger  *slog.Logger
	// greet admits a raft connection, or tells the other side why not.
	greet func(net.Conn) error

	raft, http *lane
	told       seldom
	work       sync.WaitGroup
}

// openPort takes the port, so that one that is taken is told early. Nothing is answered
// before run.
func openPort(address, host string, w *wire, logger *slog.Logger) (*port, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for other nodes on --cluster-addr: %w (is another process using it? choose a free one)", err)
	}
	_, number, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for other nodes: %w", err), l.Close())
	}
	p := &port{listener: l, address: net.JoinHostPort(host, number), wire: w, logger: logger}
	p.raft, p.http = newLane(p), newLane(p)
	return p, nil
}

// own is where this node reaches itself.
func (p *port) own() string {
	at, ok := p.listener.Addr().(*net.TCPAddr)
	if ok && at.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(at.Port))
	}
	return p.listener.Addr().String()
}

// run accepts connections until close.
func (p *port) run() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.logger.Warn("a connection of another node could not be accepted", "error", err)
			time.Sleep(100 * time.Millisecond) // out of file descriptors, most likely
			continue
		}
		p.work.Go(func() { p.accept(conn) })
	}
}

// accept shakes hands with who opened the connection.
func (p *port) accept(raw net.Conn) {
	from := raw.RemoteAddr().String()
	conn, err := p.wire.track(raw)
	if err != nil {
		return
	}
	secure := tls.Server(conn, p.tls)
	ctx, cancel := context.WithTimeout(context.Background(), greetWait)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		host, _, _ := net.SplitHostPort(from)
		if !errors.Is(err, net.ErrClosed) && p.told.now("handshake "+host) {
			p.logger.Warn("a connection to the cluster port was refused", "from", from, "error", refusal(err))
		}
		return
	}
	to := p.http
	if secure.ConnectionState().NegotiatedProtocol == protocolRaft {
		to = p.raft
		_ = secure.SetDeadline(time.Now().Add(greetWait))
		if err := p.greet(secure); err != nil {
			_ = secure.Close()
			if !errors.Is(err, net.ErrClosed) && p.told.now("greet "+err.Error()) {
				p.logger.Warn("a node's raft connection was refused", "from", from, "error", err)
			}
			return
		}
		_ = secure.SetDeadline(time.Time{})
	}
	to.give(secure)
}

// close ends run and frees the port. Connections live on: wire.cut ends them.
func (p *port) close() error {
	err := p.listener.Close()
	p.raft.shut()
	p.http.shut()
	p.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// lane is a listener for the connections of one protocol.
type lane struct {
	port  *port
	conns chan net.Conn
	done  chan struct{}
	shut  func()
}

var _ net.Listener = (*lane)(nil)

func newLane(p *port) *lane {
	l := &lane{port: p, conns: make(chan net.Conn), done: make(chan struct{})}
	l.shut = sync.OnceFunc(func() { close(l.done) })
	return l
}

func (l *lane) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (l *lane) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *lane) Close() error {
	l.shut()
	return nil
}

// Addr implements net.Listener.
func (l *lane) Addr() net.Addr { return l.port.listener.Addr() }

const (
	// The headers of an internal request are few.
	headerWait = 10 * time.Second
	// A silent connection is asked for a sign of life, so that requests to a node behind a
	// partition, or to one that is frozen, do not wait for TCP to notice.
	pingAfter = 2 * time.Second
	pingWait  = 3 * time.Second
	writeWait = 5 * time.Second
	idleWait  = 5 * time.Minute
	// maxStreams bounds the requests of one node that are under way at once.
	maxStreams = 1024
)

// http2Config is that of both ends of an internal connection.
func http2Config() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingWait, WriteByteTimeout: writeWait,
	}
}

func onlyHTTP2() *http.Protocols {
	var p http.Protocols
	p.SetHTTP2(true)
	return &p
}

// newPeerServer answers the requests of other nodes.
func newPeerServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerWait, IdleTimeout: idleWait,
		HTTP2: http2Config(), Protocols: onlyHTTP2(),
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// seldomEvery is how often the same trouble is told.
const seldomEvery = time.Minute

// seldom keeps a log from being filled by what happens again and again. The zero value is
// ready, and safe for concurrent use.
type seldom struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// now tells whether what is to be said about key was not said within the last minute.
func (s *seldom) now(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if last, ok := s.last[key]; ok && now.Sub(last) < seldomEvery {
		return false
	}
	if s.last == nil || len(s.last) > 1000 {
		s.last = map[string]time.Time{}
	}
	s.last[key] = now
	return true
}
