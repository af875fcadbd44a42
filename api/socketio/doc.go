// Package socketio implements the part of Socket.IO (protocol 5 over Engine.IO
// protocol 4) that a server needs to push events: the main namespace, long polling,
// websocket and the upgrade between them, authentication in the handshake, text events in
// both directions and acknowledgements of the client's events.
//
// Other namespaces, binary attachments, Engine.IO 3 and WebTransport are rejected.
//
// See https://socket.io/docs/v4/socket-io-protocol and engine-io-protocol.
package socketio
