package socketio

import (
	"bytes"
	"context"
	"errors"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// serveWebSocket runs a session that begins on a websocket.
func (s *session) serveWebSocket(conn *websocket.Conn) {
	if s.attach(conn, true) {
		s.readLoop(conn, openPacket(s.id, s.config))
	}
	_ = conn.Close()
}

// serveUpgrade moves a polling session to a websocket, once its client has probed it.
func (s *session) serveUpgrade(conn *websocket.Conn) {
	if s.attach(conn, false) && s.probe(conn) && s.attach(conn, true) {
		s.readLoop(conn)
	} else {
		s.cancelUpgrade()
	}
	_ = conn.Close()
}

// probe reports whether the client completed the upgrade.
func (s *session) probe(conn *websocket.Conn) bool {
	if conn.SetReadDeadline(time.Now().Add(upgradeTimeout)) != nil || !expect(conn, probePing) {
		return false
	}
	if s.write(conn, probePong) != nil {
		return false
	}
	s.releasePoll()
	return expect(conn, upgradePacket) && conn.SetReadDeadline(time.Time{}) == nil
}

// expect reads one packet and reports whether it is the given one.
func expect(conn *websocket.Conn, want []byte) bool {
	kind, got, err := conn.ReadMessage()
	return err == nil && kind == websocket.TextMessage && bytes.Equal(got, want)
}

// readLoop receives packets, and has writeLoop send them, until the session ends.
func (s *session) readLoop(conn *websocket.Conn, first ...[]byte) {
	if !s.registry.run(func() { s.writeLoop(conn, first) }) {
		s.close("the server closes", false)
		return
	}
	for {
		kind, p, err := conn.ReadMessage()
		switch {
		case err != nil:
			s.close("the connection ended: "+err.Error(), false)
			return
		case kind != websocket.TextMessage:
			s.close("binary frame", false)
		default:
			s.receive(p)
		}
	}
}

// writeLoop sends packets until the session ends, then a close frame.
func (s *session) writeLoop(conn *websocket.Conn, packets [][]byte) {
	select {
	case s.sending <- struct{}{}: // after the last poll
	case <-s.done:
	}
	var ended error
	for ; ended == nil; packets, ended = s.next(context.Background(), nil) {
		for _, p := range packets {
			if err := s.write(conn, p); err != nil {
				timeout, ok := errors.AsType[net.Error](err)
				s.close("write failed: "+err.Error(), ok && timeout.Timeout())
				_ = conn.Close()
				return
			}
		}
	}
	// The client's response, or closeTimeout, ends readLoop.
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	_ = conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(closeTimeout))
}

func (s *session) write(conn *websocket.Conn, p []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(s.config.WriteTimeout)); err != nil {
		return err
	}
	return conn.WriteMessage(websocket.TextMessage, p)
}

// beginUpgrade reports whether a websocket may be probed.
func (s *session) beginUpgrade() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.upgraded || s.upgrading {
		return false
	}
	s.upgrading = true
	return true
}

// cancelUpgrade returns the session to polling.
func (s *session) cancelUpgrade() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upgrading, s.conn, s.probed = false, nil, make(chan struct{})
}

// attach makes the websocket end with the session. It reports false when the session has
// ended.
func (s *session) attach(conn *websocket.Conn, upgraded bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.upgraded = conn, upgraded
	return !s.closed
}

// releasePoll makes the current poll, and those that follow, end soon.
func (s *session) releasePoll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.probed)
}
