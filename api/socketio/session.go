package socketio

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// errEnded is returned when reading from a session that has ended.
var errEnded = errors.New("session ended")

// session is one client, over its current transport.
//
// It has no goroutine: the transport that holds sending takes packets with next, so
// nothing is buffered beyond the client's bounded queues. Timers end the session of a
// client that stops responding.
type session struct {
	config   *Config
	registry *registry
	id       string // secret
	opened   Opening
	done     chan struct{}
	replies  chan []byte // packets for this client only
	// sending is held by the transport that sends packets: by each poll for itself, by a
	// websocket until the end.
	sending chan struct{}
	pingAt  time.Time // owned by the holder of sending
	// silence ends a session whose client returns no pings, connecting one that does not
	// authenticate.
	silence, connecting *time.Timer

	receiving sync.Mutex // held while packets are received

	mu        sync.Mutex
	closed    bool
	client    Client        // nil until authenticated
	upgrading bool          // a websocket is being probed
	probed    chan struct{} // closed when the client waits for its last poll to end
	upgraded  bool          // the session is on a websocket
	conn      *websocket.Conn
}

func newSession(c *Config, r *registry, id string, opened Opening) *session {
	return &session{
		config: c, registry: r, id: id, opened: opened, done: make(chan struct{}), replies: make(chan []byte, maxReplies), sending: make(chan struct{}, 1),
		pingAt: time.Now().Add(c.PingInterval), probed: make(chan struct{}),
	}
}

func (s *session) startTimers() {
	s.mu.Lock() // a timer may fire before both are set
	defer s.mu.Unlock()
	s.silence = time.AfterFunc(s.config.maxSilence(), func() { s.close("no pong from the client", false) })
	s.connecting = time.AfterFunc(s.config.ConnectTimeout, func() { s.close("the client did not authenticate", false) })
}

// close ends the session. It does not block.
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
	s.silence.Stop()
	s.connecting.Stop()
	s.registry.remove(s)
	if client != nil {
		client.Close(slow)
	}
	if conn != nil { // its goroutines may be blocked
		time.AfterFunc(closeTimeout, func() { _ = conn.NetConn().Close() })
	}
	s.config.Logger.Debug("a Socket.IO session ended", "why", why)
}

// next returns the next packets for the client: replies, events, or a ping. Once probed
// is closed, it soon returns a noop packet, which ends the poll.
func (s *session) next(ctx context.Context, probed <-chan struct{}) ([][]byte, error) {
	events := s.events() // before replies: the reply to CONNECT goes first
	left := time.Until(s.pingAt)
	switch {
	case s.ended():
		return nil, errEnded
	case left <= 0:
		return s.ping(), nil
	}
	select {
	case p := <-s.replies:
		return s.batch(p, events), nil
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
		case p := <-s.replies:
			return s.batch(p, events), nil
		case p, ok := <-events:
			if !ok {
				s.close("the application closed it, or the client was too slow", false)
				return nil, errEnded
			}
			return s.batch(p, events), nil
		case <-ping.C:
			return s.ping(), nil
		case <-probed:
			probed, release = nil, time.After(releaseAfter)
		case <-release:
			return [][]byte{noopPacket}, nil
		}
	}
}

// batch returns the first packet and those that are already queued.
func (s *session) batch(first []byte, events <-chan []byte) [][]byte {
	packets := [][]byte{first}
	for len(packets) < maxBatch {
		select {
		case p := <-s.replies:
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

// ping returns a ping. A client that is no longer authorized gets a disconnect packet
// instead, after which it does not reconnect by itself.
func (s *session) ping() [][]byte {
	if client := s.current(); client != nil && !client.Authorized() {
		s.close("the client is no longer authorized", false)
		return [][]byte{disconnectPacket}
	}
	s.pingAt = time.Now().Add(s.config.PingInterval)
	return [][]byte{pingPacket}
}

func (s *session) current() Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// events returns the client's events, or nil before it has authenticated.
func (s *session) events() <-chan []byte {
	if client := s.current(); client != nil {
		return client.Events()
	}
	return nil
}

func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// pollRelease returns a channel that is closed while the client waits for its poll to end.
func (s *session) pollRelease() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.probed
}

func (s *session) hasUpgraded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upgraded
}
