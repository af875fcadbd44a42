package socketio

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// ownQueue is how many answers may wait for one client.
	ownQueue = 16
	// batch is how many packets are sent at once.
	batch = 64
	// releaseAfter is how long a poll may last while its client waits to leave polling.
	releaseAfter = 100 * time.Millisecond
	// lastWords is how long the websocket of an ended session may take to say so.
	lastWords = time.Second
)

// errEnded is what reading from a session answers that has ended.
var errEnded = errors.New("the session has ended")

// session is one client, over whichever transport it has at the moment.
//
// No goroutine belongs to it: the transport that has the seat takes packets from it with
// next, so that none are buffered that nobody takes, and timers end it when nobody does.
type session struct {
	server *Server
	id     string // a secret of the client's
	done   chan struct{}
	own    chan []byte // packets for this client alone
	// seat is held by the transport that takes packets: each poll for itself, a
	// websocket to the end.
	seat   chan struct{}
	pingAt time.Time // of whoever has the seat
	// expires ends a session whose client does not answer pings, and connectBy one that
	// does not say whose it is.
	expires, connectBy *time.Timer

	receiving sync.Mutex // by one request at a time

	mu        sync.Mutex
	closed    bool
	client    Client        // once connected
	upgrading bool          // a websocket tries to take over
	probed    chan struct{} // closed when its client waits for that
	moved     bool          // it did, or was there from the beginning
	conn      *websocket.Conn
}

func newSession(s *Server, id string) *session {
	return &session{
		server: s, id: id, done: make(chan struct{}), own: make(chan []byte, ownQueue), seat: make(chan struct{}, 1),
		pingAt: time.Now().Add(s.PingInterval), probed: make(chan struct{}),
	}
}

// begin starts the timers.
func (s *session) begin() {
	s.mu.Lock() // they may be over already
	defer s.mu.Unlock()
	s.expires = time.AfterFunc(s.patience(), func() { s.close("no answer to a ping", false) })
	s.connectBy = time.AfterFunc(s.server.ConnectTimeout, func() { s.close("did not say whose it is", false) })
}

// patience is how long a client may be silent.
func (s *session) patience() time.Duration { return s.server.PingInterval + s.server.PingTimeout }

// close ends the session. It does not wait for anything.
func (s *session) close(why string, slow bool) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	client, conn := s.client, s.conn
	s.mu.Unlock()
	close(s.done)
	s.expires.Stop()
	s.connectBy.Stop()
	s.server.forget(s, client == nil)
	if client != nil {
		client.Close(slow)
	}
	if conn != nil { // whose goroutines may be waiting for the client
		time.AfterFunc(lastWords, func() { _ = conn.NetConn().Close() })
	}
	s.server.Logger.Debug("a Socket.IO session ended", "why", why)
}

// next takes the packets that the client is to get next: one or more of its own, its
// events, or a ping. While the channel probed is closed, it soon answers one that means
// nothing, so that the poll ends.
func (s *session) next(ctx context.Context, probed <-chan struct{}) ([][]byte, error) {
	events := s.events() // before own is looked at: the answer to connecting goes first
	left := time.Until(s.pingAt)
	switch {
	case s.ended():
		return nil, errEnded
	case left <= 0:
		return s.ping(), nil
	}
	select {
	case p := <-s.own:
		return s.more(p, events), nil
	default:
	}
	ping := time.NewTimer(left)
	defer ping.Stop()
	var release <-chan time.Time
	for {
		select {
		case <-s.done:
			return nil, errEnded
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case p := <-s.own:
			return s.more(p, events), nil
		case p, ok := <-events:
			if !ok {
				s.close("the application closed it, or it did not keep up", false)
				return nil, errEnded
			}
			return s.more(p, events), nil
		case <-ping.C:
			return s.ping(), nil
		case <-probed:
			probed, release = nil, time.After(releaseAfter)
		case <-release:
			return [][]byte{noopPacket}, nil
		}
	}
}

// more adds the packets that are there already.
func (s *session) more(first []byte, events <-chan []byte) [][]byte {
	packets := [][]byte{first}
	for len(packets) < batch {
		select {
		case p := <-s.own:
			packets = append(packets, p)
		case p, ok := <-events:
			if !ok {
				return packets
			}
			packets = append(packets, p)
		default:
			return packets
		}
	}
	return packets
}

// ping asks the client whether it is there. One that may not be any more is told, and
// knows by that packet that it need not come back.
func (s *session) ping() [][]byte {
	if client := s.current(); client != nil && !client.Known() {
		s.close("its client is not known any more", false)
		return [][]byte{disconnectPacket}
	}
	s.pingAt = time.Now().Add(s.server.PingInterval)
	return [][]byte{pingPacket}
}

func (s *session) current() Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// events of the client; nil, which blocks, before it has connected.
func (s *session) events() <-chan []byte {
	if client := s.current(); client != nil {
		return client.Events()
	}
	return nil
}

// take receives Engine.IO packets, and ends the session when one is wrong.
func (s *session) take(packets ...[]byte) {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	defer func() {
		if p := recover(); p != nil {
			s.server.Logger.Error("a Socket.IO packet panicked", "panic", p, "stack", string(debug.Stack()))
			s.close("a packet panicked", false)
		}
	}()
	for _, p := range packets {
		if s.ended() {
			return
		}
		if err := s.receive(p); err != nil {
			s.close("received "+describe(p)+": "+err.Error(), false)
		}
	}
}

func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *session) receive(p []byte) error {
	if len(p) == 0 {
		return errEmpty
	}
	switch p[0] {
	case engineClose:
		s.close("the client left", false)
	case enginePong:
		s.expires.Reset(s.patience())
	case engineMessage:
		return s.message(p[1:])
	case engineNoop:
	default:
		return errEngine
	}
	return nil
}

// message takes a Socket.IO packet.
func (s *session) message(text []byte) error {
	p, err := parsePacket(text)
	if err != nil {
		return err
	}
	client := s.current()
	switch {
	case p.kind == kindConnect && p.namespace != mainNamespace:
		return s.answer(kindConnectError, p.namespace, "", connectError{"Invalid namespace", nil})
	case p.kind == kindConnect && client == nil:
		return s.connect(p.data)
	case client == nil, p.kind == kindConnect, p.namespace != mainNamespace:
		return errState
	case p.kind == kindDisconnect:
		s.close("the client disconnected", false)
	case p.kind == kindEvent:
		name, args, err := p.event()
		if err != nil {
			return err
		}
		answer := client.Handle(name, args)
		if p.id != "" {
			return s.answer(kindAck, mainNamespace, p.id, []any{answer})
		}
	}
	return nil // an acknowledgement of nothing that was asked
}

// connectError is what a client is told that may not connect.
type connectError struct {
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// connect asks the application for the client.
func (s *session) connect(auth json.RawMessage) error {
	client, err := s.server.Application.Connect(auth)
	if err != nil {
		refused := connectError{Message: "The connection was refused"}
		if r, ok := errors.AsType[*Refusal](err); ok {
			refused = connectError{r.Message, r.Data}
		}
		return s.answer(kindConnectError, mainNamespace, "", refused)
	}
	// The identity that clients see; the session's is a secret.
	hello, err := answerPacket(kindConnect, mainNamespace, "", map[string]string{"sid": rand.Text()})
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		client.Close(false)
		return nil
	}
	s.client = client
	ok := s.push(hello) // with the client set, so that whoever sees its events finds this first
	s.mu.Unlock()
	s.server.known()
	s.connectBy.Stop()
	if !ok {
		s.close("did not take its answers", true)
	}
	return nil
}

// answer sends the client a packet of its own.
func (s *session) answer(kind byte, namespace, id string, v any) error {
	p, err := answerPacket(kind, namespace, id, v)
	if err != nil {
		return err
	}
	if !s.push(p) {
		s.close("did not take its answers", true)
	}
	return nil
}

func (s *session) push(p []byte) bool {
	select {
	case s.own <- p:
		return true
	default:
		return false
	}
}
