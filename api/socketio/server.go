package socketio

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// maxPayload bounds what a client sends at once, in bytes; clients are told.
	maxPayload = 64 << 10
	// maxStrangers is how many sessions there may be that did not say yet who they are.
	maxStrangers = 4096
	// upgradeTimeout is how long the upgrade of a session to websocket may take.
	upgradeTimeout = 10 * time.Second
)

// Application is what the server tells events for. It is called from several
// goroutines at once.
type Application interface {
	// Connect decides on a client that says who it is: auth is the JSON object that it
	// sent, or empty. Clients are told a *Refusal, and of other errors nothing but that
	// there was one.
	Connect(auth json.RawMessage) (Client, error)
}

// Client is what the application knows of one that is connected.
type Client interface {
	// Events are the packets that the client is to get, made by Event. The application
	// closes the channel when it has had enough of the client.
	Events() <-chan []byte
	// Known tells whether the client may stay; it is asked every PingInterval.
	Known() bool
	// Handle takes an event of the client's. What it answers is encoded as JSON and
	// acknowledges the event, if the client asked for that.
	Handle(event string, args []json.RawMessage) any
	// Close is called once, after the client has gone, or when it did not keep up.
	Close(slow bool)
}

// Refusal is why a client may not connect, as it is told in the event connect_error.
type Refusal struct {
	Message string
	// Data is encoded as JSON.
	Data any
}

func (r *Refusal) Error() string { return r.Message }

// Config is what a Server needs. Of the times, zero is the usual one.
type Config struct {
	Application Application
	Logger      *slog.Logger
	// PingInterval is how often a client is asked whether it is there, and Known whether
	// it may be.
	PingInterval time.Duration
	// PingTimeout is how much longer than that a client may be silent.
	PingTimeout time.Duration
	// ConnectTimeout is how long a session may take to say whose it is.
	ConnectTimeout time.Duration
	// WriteTimeout is how long a client may take to take a packet.
	WriteTimeout time.Duration
	// ReadTimeout is how long it may take to send the body of a request.
	ReadTimeout time.Duration
}

// Server serves the sessions of clients. It is an http.Handler for one path; its
// requests need http.ResponseWriters that can be hijacked. Safe for concurrent use.
type Server struct {
	Config
	upgrader websocket.Upgrader
	running  sync.WaitGroup // the goroutines of websockets

	mu        sync.Mutex
	closed    bool
	sessions  map[string]*session
	strangers int
}

// New makes a server.
func New(c Config) *Server {
	orUsual := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
	}
	orUsual(&c.PingInterval, 25*time.Second)
	orUsual(&c.PingTimeout, 20*time.Second)
	orUsual(&c.ConnectTimeout, 10*time.Second)
	orUsual(&c.WriteTimeout, 10*time.Second)
	orUsual(&c.ReadTimeout, 30*time.Second)
	s := &Server{Config: c, sessions: map[string]*session{}}
	s.upgrader = websocket.Upgrader{
		HandshakeTimeout: c.WriteTimeout, ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			refuse(w, status, codeForbidden, "No websocket: "+reason.Error()+"; pages of other hosts may not connect, and a proxy must pass the Host header")
		},
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// Also where we read no body the HTTP server does, if one was announced, and would wait
	// for it. A poll lasts no longer than the time to the next ping. Not every writer has
	// deadlines; a websocket's are its own.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.PingInterval + s.ReadTimeout))
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
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: the transport is not the one that the request is for")
	default:
		refuse(w, http.StatusBadRequest, codeTransport, "Transport unknown; there are polling and websocket")
	}
}

// Close ends all sessions, so that their clients turn to another node, and returns
// when the goroutines of websockets have ended. No session begins after it.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	sessions := make([]*session, 0, len(s.sessions))
	for _, one := range s.sessions {
		sessions = append(sessions, one)
	}
	s.mu.Unlock()
	for _, one := range sessions {
		one.close("the server closes", false)
	}
	s.running.Wait()
}

// open begins a session. It answers nil when there may be none.
func (s *Server) open() *session {
	one := newSession(s, rand.Text())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.strangers >= maxStrangers {
		return nil
	}
	s.sessions[one.id] = one
	s.strangers++
	one.begin()
	return one
}

func (s *Server) session(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// known counts a session as one that said whose it is.
func (s *Server) known() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strangers--
}

func (s *Server) forget(one *session, stranger bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, one.id)
	if stranger {
		s.strangers--
	}
}

// run starts a goroutine that Close waits for, unless it was called.
func (s *Server) run(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Go(fn)
	return true
}

// The codes of refused requests, from the protocol of Engine.IO.
const (
	codeTransport  = 0
	codeUnknownSID = 1
	codeMethod     = 2
	codeBadRequest = 3
	codeForbidden  = 4
	codeVersion    = 5
)

// refuse answers a request that is served in no session.
func refuse(w http.ResponseWriter, status, code int, message string) {
	body, _ := json.Marshal(struct { // plain fields encode
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, message})
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody to tell
}

// refuseNew answers a request for a session that there may not be.
func refuseNew(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable, codeForbidden, "No new sessions at the moment; try again shortly")
}
