package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// What the first byte of an Engine.IO packet says.
const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	enginePong    = '3'
	engineMessage = '4'
	engineUpgrade = '5'
	engineNoop    = '6'
)

// What the first byte of a Socket.IO packet says, which is the content of an Engine.IO
// message.
const (
	kindConnect      = '0'
	kindDisconnect   = '1'
	kindEvent        = '2'
	kindAck          = '3'
	kindConnectError = '4'
)

// separator stands between the packets of one poll.
const separator = '\x1e'

const (
	// mainNamespace is the only one there is.
	mainNamespace = "/"
	// maxNamespace bounds the names of those that there are not, which are sent back.
	maxNamespace = 100
)

var (
	pingPacket       = []byte{enginePing}
	noopPacket       = []byte{engineNoop}
	closePacket      = []byte{engineClose}
	probePing        = []byte("2probe")
	probePong        = []byte("3probe")
	disconnectPacket = []byte{engineMessage, kindDisconnect}
)

var (
	errEmpty     = errors.New("an empty packet")
	errEngine    = errors.New("an Engine.IO packet that no client sends")
	errKind      = errors.New("a Socket.IO packet that no client sends here, or with a binary attachment")
	errNamespace = errors.New("a namespace without an end, or too long a one")
	errJSON      = errors.New("a Socket.IO packet that is not JSON of the right form")
	errState     = errors.New("a Socket.IO packet at the wrong time")
)

// packet is what a client sent, taken apart.
type packet struct {
	kind      byte
	namespace string
	id        string // of the acknowledgement that the client waits for; empty without
	data      []byte // JSON, or nothing
}

// parsePacket takes the content of an Engine.IO message apart:
// kind, [namespace ","], [id], [JSON].
func parsePacket(text []byte) (packet, error) {
	if len(text) == 0 {
		return packet{}, errEmpty
	}
	p := packet{kind: text[0], namespace: mainNamespace}
	if p.kind < kindConnect || p.kind > kindAck {
		return packet{}, errKind
	}
	rest := text[1:]
	if len(rest) > 0 && rest[0] == '/' {
		name, after, more := bytes.Cut(rest, []byte{','})
		if !more && p.kind != kindConnect && p.kind != kindDisconnect {
			return packet{}, errNamespace
		}
		if len(name) > maxNamespace {
			return packet{}, errNamespace
		}
		p.namespace, rest = string(name), after
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	p.id, p.data = string(rest[:digits]), rest[digits:]
	if len(p.data) > 0 && !json.Valid(p.data) {
		return packet{}, errJSON
	}
	return p, nil
}

// event is the name and the arguments of an event.
func (p packet) event() (name string, args []json.RawMessage, err error) {
	if json.Unmarshal(p.data, &args) != nil || len(args) == 0 || json.Unmarshal(args[0], &name) != nil {
		return "", nil, errJSON
	}
	return name, args[1:], nil
}

// Event makes the packet of an event with one argument, which is JSON.
func Event(name string, data []byte) []byte {
	quoted, _ := json.Marshal(name) // strings encode
	dst := make([]byte, 0, len(quoted)+len(data)+5)
	dst = append(dst, engineMessage, kindEvent, '[')
	dst = append(dst, quoted...)
	dst = append(dst, ',')
	dst = append(dst, data...)
	return append(dst, ']')
}

// answerPacket is a packet of the given kind for one client, with v as its JSON.
func answerPacket(kind byte, namespace, id string, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dst := []byte{engineMessage, kind}
	if namespace != mainNamespace {
		dst = append(dst, namespace...)
		dst = append(dst, ',')
	}
	dst = append(dst, id...)
	return append(dst, data...), nil
}

// openPacket begins a session.
func openPacket(s *session, upgrades []string) []byte {
	data, _ := json.Marshal(struct { // plain fields encode
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{s.id, upgrades, s.server.PingInterval.Milliseconds(), s.server.PingTimeout.Milliseconds(), maxPayload})
	return append([]byte{engineOpen}, data...)
}

// describe is a packet for the log, without its content: that may be a token.
func describe(text []byte) string {
	return fmt.Sprintf("%d bytes that begin with %q", len(text), text[:min(len(text), 2)])
}
