package socketio

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// serveWebSocket serves a websocket that begins a session, or wants to take over one
// that polls. Its goroutines outlive the request.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, id string) {
	if id == "" {
		one := s.open()
		if one == nil {
			refuseNew(w)
			return
		}
		if !s.connect(w, r, one.serve) {
			one.close("no websocket", false)
		}
		return
	}
	one := s.session(id)
	switch {
	case one == nil:
		refuse(w, http.StatusBadRequest, codeUnknownSID, "Session ID unknown")
	case !one.beginUpgrade():
		refuse(w, http.StatusBadRequest, codeBadRequest, "Bad request: the session has a websocket, or one that tries to take over")
	case !s.connect(w, r, one.takeOver):
		one.endUpgrade()
	}
}

// connect makes a websocket of the request and serves it; it tells whether it could.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, serve func(*websocket.Conn)) bool {
	conn, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return false // and was answered
	}
	conn.SetReadLimit(maxPayload)
	if !s.run(func() { serve(conn) }) {
		_ = conn.Close()
		return false
	}
	return true
}

// serve has a session on a websocket from the beginning.
func (s *session) serve(conn *websocket.Conn) {
	if s.attach(conn, true) {
		s.talk(conn, openPacket(s, []string{}))
	}
	_ = conn.Close()
}

// takeOver has a session go on on a websocket, once its client has tried that.
func (s *session) takeOver(conn *websocket.Conn) {
	if s.attach(conn, false) && s.probe(conn) && s.attach(conn, true) {
		s.talk(conn)
	} else {
		s.endUpgrade() // it goes on polling
	}
	_ = conn.Close()
}

// probe waits for the client to say that it goes on here.
func (s *session) probe(conn *websocket.Conn) bool {
	if conn.SetReadDeadline(time.Now().Add(upgradeTimeout)) != nil || !expect(conn, probePing) {
		return false
	}
	if s.write(conn, probePong) != nil {
		return false
	}
	s.release()
	return expect(conn, []byte{engineUpgrade}) && conn.SetReadDeadline(time.Time{}) == nil
}

// expect reads one packet.
func expect(conn *websocket.Conn, want []byte) bool {
	kind, got, err := conn.ReadMessage()
	return err == nil && kind == websocket.TextMessage && bytes.Equal(got, want)
}

// talk sends and receives until the session ends.
func (s *session) talk(conn *websocket.Conn, first ...[]byte) {
	if !s.server.run(func() { s.sendAll(conn, first) }) {
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
			s.close("sent a binary frame", false)
		default:
			s.take(p)
		}
	}
}

// sendAll sends what the client is to get, and that the session has ended.
func (s *session) sendAll(conn *websocket.Conn, packets [][]byte) {
	select {
	case s.seat <- struct{}{}: // once the last poll is answered
	case <-s.done:
	}
	var ended error
	for ; ended == nil; packets, ended = s.next(context.Background(), nil) {
		for _, p := range packets {
			if err := s.write(conn, p); err != nil {
				late, ok := errors.AsType[net.Error](err)
				s.close("could not be written to: "+err.Error(), ok && late.Timeout())
				_ = conn.Close()
				return
			}
		}
	}
	// The client answers that, which ends the reading; or time does.
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	_ = conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(lastWords))
}

func (s *session) write(conn *websocket.Conn, p []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(s.server.WriteTimeout)); err != nil {
		return err
	}
	return conn.WriteMessage(websocket.TextMessage, p)
}

// beginUpgrade tells whether a websocket may try to take over.
func (s *session) beginUpgrade() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.moved || s.upgrading {
		return false
	}
	s.upgrading = true
	return true
}

// endUpgrade is for a websocket that did not take over.
func (s *session) endUpgrade() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upgrading, s.conn, s.probed = false, nil, make(chan struct{})
}

// attach makes the websocket end with the session; moved says that the session goes on
// over it. It answers false when the session has ended.
func (s *session) attach(conn *websocket.Conn, moved bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.moved = conn, moved
	return !s.closed
}

// release ends the poll under way, and those that come, soon.
func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.probed)
}

// waits is closed while the client waits for its poll to end.
func (s *session) waits() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.probed
}

func (s *session) hasMoved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved
}
