package socketio

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"runtime/debug"
)

// receive handles Engine.IO packets from the client. An invalid one ends the session.
func (s *session) receive(packets ...[]byte) {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	defer func() {
		if p := recover(); p != nil {
			s.config.Logger.Error("a Socket.IO packet caused a panic", "panic", p, "stack", string(debug.Stack()))
			s.close("a packet caused a panic", false)
		}
	}()
	for _, p := range packets {
		if s.ended() {
			return
		}
		if err := s.receivePacket(p); err != nil {
			s.close("received "+describe(p)+": "+err.Error(), false)
		}
	}
}

func (s *session) receivePacket(p []byte) error {
	if len(p) == 0 {
		return errEmpty
	}
	switch p[0] {
	case engineClose:
		s.close("the client left", false)
	case enginePong:
		s.silence.Reset(s.config.maxSilence())
	case engineMessage:
		return s.receiveMessage(p[1:])
	case engineNoop:
	default:
		return errEngine
	}
	return nil
}

// receiveMessage handles a Socket.IO packet.
func (s *session) receiveMessage(text []byte) error {
	p, err := parsePacket(text)
	if err != nil {
		return err
	}
	client := s.current()
	switch {
	case p.kind == typeConnect && p.namespace != mainNamespace:
		return s.reply(typeConnectError, p.namespace, "", connectError{"Invalid namespace", nil})
	case p.kind == typeConnect && client == nil:
		return s.connect(p.data)
	case client == nil, p.kind == typeConnect, p.namespace != mainNamespace:
		return errState
	case p.kind == typeDisconnect:
		s.close("the client disconnected", false)
	case p.kind == typeEvent:
		name, args, err := p.event()
		if err != nil {
			return err
		}
		result := client.Handle(name, args)
		if p.id != "" {
			return s.reply(typeAck, mainNamespace, p.id, []any{result})
		}
	}
	return nil // an acknowledgement that nobody waits for
}

// connectError is the content of the event connect_error.
type connectError struct {
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// connect authenticates the client.
func (s *session) connect(auth json.RawMessage) error {
	client, err := s.config.Application.Connect(s.opened, auth)
	if err != nil {
		refused := connectError{Message: "The connection was refused"}
		if r, ok := errors.AsType[*Refusal](err); ok {
			refused = connectError{r.Message, r.Data}
		}
		return s.reply(typeConnectError, mainNamespace, "", refused)
	}
	// Other clients may see this id; the session's id is secret.
	hello, err := encodePacket(typeConnect, mainNamespace, "", map[string]string{"sid": rand.Text()})
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
	ok := s.enqueue(hello) // under the lock, so that it precedes the client's events
	s.mu.Unlock()
	s.registry.authenticated(s)
	s.connecting.Stop()
	if !ok {
		s.closeSlow()
	}
	return nil
}

// reply queues a packet for this client only.
func (s *session) reply(kind byte, namespace, id string, v any) error {
	p, err := encodePacket(kind, namespace, id, v)
	if err != nil {
		return err
	}
	if !s.enqueue(p) {
		s.closeSlow()
	}
	return nil
}

func (s *session) enqueue(p []byte) bool {
	select {
	case s.replies <- p:
		return true
	default:
		return false
	}
}

func (s *session) closeSlow() { s.close("the client did not read its replies", true) }
