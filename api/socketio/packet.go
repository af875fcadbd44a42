package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Types of Engine.IO packets: the first byte.
const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	enginePong    = '3'
	engineMessage = '4'
	engineUpgrade = '5'
	engineNoop    = '6'
)

// Types of Socket.IO packets: the first byte of an Engine.IO message.
const (
	typeConnect      = '0'
	typeDisconnect   = '1'
	typeEvent        = '2'
	typeAck          = '3'
	typeConnectError = '4'
)

// separator separates the packets of one poll.
const separator = '\x1e'

const (
	// mainNamespace is the only namespace.
	mainNamespace = "/"
	// maxNamespace is the maximum length of the name of an unknown namespace, which the
	// reply repeats.
	maxNamespace = 100
)

var (
	pingPacket       = []byte{enginePing}
	noopPacket       = []byte{engineNoop}
	closePacket      = []byte{engineClose}
	upgradePacket    = []byte{engineUpgrade}
	probePing        = []byte("2probe")
	probePong        = []byte("3probe")
	disconnectPacket = []byte{engineMessage, typeDisconnect}
)

// Errors of invalid packets; each ends the session.
var (
	errEmpty     = errors.New("empty packet")
	errEngine    = errors.New("Engine.IO packet type not valid from a client")
	errType      = errors.New("Socket.IO packet type not supported, or with a binary attachment")
	errNamespace = errors.New("namespace too long, or without an end")
	errJSON      = errors.New("Socket.IO packet without valid JSON")
	errState     = errors.New("Socket.IO packet not valid in this state")
)

// packet is a parsed Socket.IO packet from a client.
type packet struct {
	kind      byte
	namespace string
	id        string // of the acknowledgement that the client expects; may be empty
	data      []byte // JSON, or empty
}

// parsePacket parses the content of an Engine.IO message:
// type, [namespace ","], [id], [JSON].
func parsePacket(text []byte) (packet, error) {
	if len(text) == 0 {
		return packet{}, errEmpty
	}
	p := packet{kind: text[0], namespace: mainNamespace}
	if p.kind < typeConnect || p.kind > typeAck {
		return packet{}, errType
	}
	rest := text[1:]
	if len(rest) > 0 && rest[0] == '/' {
		name, after, more := bytes.Cut(rest, []byte{','})
		if !more && p.kind != typeConnect && p.kind != typeDisconnect {
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

// event returns the name and the arguments of an event.
func (p packet) event() (name string, args []json.RawMessage, err error) {
	if json.Unmarshal(p.data, &args) != nil || len(args) == 0 || json.Unmarshal(args[0], &name) != nil {
		return "", nil, errJSON
	}
	return name, args[1:], nil
}

// Event returns the packet of an event with one argument, which is JSON.
func Event(name string, data []byte) []byte {
	quoted, _ := json.Marshal(name) // a string never fails
	dst := make([]byte, 0, len(quoted)+len(data)+5)
	dst = append(dst, engineMessage, typeEvent, '[')
	dst = append(dst, quoted...)
	dst = append(dst, ',')
	dst = append(dst, data...)
	return append(dst, ']')
}

// encodePacket returns a packet with v as its JSON.
func encodePacket(kind byte, namespace, id string, v any) ([]byte, error) {
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

// openPacket returns the packet that opens a session.
func openPacket(sid string, c *Config, upgrades ...string) []byte {
	data, _ := json.Marshal(struct { // plain fields never fail
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{sid, append([]string{}, upgrades...), c.PingInterval.Milliseconds(), c.PingTimeout.Milliseconds(), maxPayload})
	return append([]byte{engineOpen}, data...)
}

// describe returns a packet for the log, without its content, which may be a token.
func describe(text []byte) string {
	return fmt.Sprintf("%d bytes that begin with %q", len(text), text[:min(len(text), 2)])
}
