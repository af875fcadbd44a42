package socketio

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Server serves Socket.IO clients. It is an http.Handler for one path; websockets need a
// http.ResponseWriter that can be hijacked. It is safe for concurrent use.
type Server struct {
	config   *Config
	registry *registry
	upgrader websocket.Upgrader
}

// New returns a server.
func New(c Config) *Server {
	config := c.withDefaults()
	return &Server{
		config:   config,
		registry: newRegistry(),
		upgrader: websocket.Upgrader{
			HandshakeTimeout: config.WriteTimeout, ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
			CheckOrigin: config.AllowsOrigin,
			Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
				refuse(w, status, codeForbidden, "No websocket: "+reason.Error()+"; pages of other hosts may connect only where the node allows them (--allow-origin), and a proxy must pass the Host header")
			},
		},
	}
}

// Close ends all sessions, so that their clients connect to another node, and waits for
// the goroutines of websockets. The server accepts no sessions after it.
func (s *Server) Close() { s.registry.close() }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// The HTTP server reads a body that no handler read, and would wait for it. A poll ends
	// with the next ping. Some writers have no deadlines; a websocket sets its own.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.config.PingInterval + s.config.ReadTimeout))
	query := r.URL.Query()
	upgrade := websocket.IsWebSocketUpgrade(r)
	switch transport := query.Get("transport"); {
	case query.Get("EIO") != "4":
		refuse(w, http.StatusBadRequest, codeVersion, "Unsupported protocol version; use a client of Socket.IO 3 or 4")
	case transport == "polling" && !upgrade:
		s.servePolling(w, r, query.Get("sid"))
	case transport == "websocket" && upgrade && r.Method == http.MethodGet:
		s.serveWebSocket(w, r, query.Get("sid"))
	case transport == "polling", transport == "websocket":
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: transport does not match the request")
	default:
		refuse(w, http.StatusBadRequest, codeTransport, "Transport unknown; use polling or websocket")
	}
}

// servePolling serves a request of a polling client: the first, which opens the session,
// a poll, or a post.
func (s *Server) servePolling(w http.ResponseWriter, r *http.Request, id string) {
	if id == "" {
		s.openPolling(w, r)
		return
	}
	one := s.registry.get(id)
	switch {
	case one == nil:
		refuse(w, http.StatusBadRequest, codeUnknownSID,
			"Session ID unknown; the session ended, or a load balancer sent its requests to several nodes: polling needs sticky sessions")
	case one.hasUpgraded():
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: the session uses a websocket")
	case r.Method == http.MethodGet:
		one.poll(w, r)
	case r.Method == http.MethodPost:
		one.post(w, r)
	default:
		refuse(w, http.StatusBadRequest, codeMethod, "Bad handshake method")
	}
}

func (s *Server) openPolling(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		refuse(w, http.StatusBadRequest, codeMethod, "Bad handshake method")
		return
	}
	one := s.open(r)
	if one == nil {
		refuseSession(w)
		return
	}
	if err := writePackets(w, s.config.WriteTimeout, openPacket(one.id, s.config, "websocket")); err != nil {
		one.close("the client left", false)
	}
}

// serveWebSocket serves a websocket that opens a session, or upgrades one that polls. Its
// goroutines outlive the request.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, id string) {
	if id == "" {
		one := s.open(r)
		if one == nil {
			refuseSession(w)
			return
		}
		if !s.upgrade(w, r, one.serveWebSocket) {
			one.close("no websocket", false)
		}
		return
	}
	one := s.registry.get(id)
	switch {
	case one == nil:
		refuse(w, http.StatusBadRequest, codeUnknownSID, "Session ID unknown")
	case !one.beginUpgrade():
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: the session already has a websocket, or an upgrade in progress")
	case !s.upgrade(w, r, one.serveUpgrade):
		one.cancelUpgrade()
	}
}

// upgrade makes the request's connection a websocket and serves it. It reports whether it
// succeeded.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, serve func(*websocket.Conn)) bool {
	conn, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return false // the upgrader has responded
	}
	conn.SetReadLimit(maxPayload)
	if !s.registry.run(func() { serve(conn) }) {
		_ = conn.Close()
		return false
	}
	return true
}

// open opens a session. It returns nil when the server is closed.
func (s *Server) open(r *http.Request) *session {
	one := newSession(s.config, s.registry, rand.Text(), s.config.Open(r))
	if !s.registry.add(one) {
		return nil
	}
	return one
}
