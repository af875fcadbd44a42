// Package socketio speaks the part of Socket.IO (protocol 5, on Engine.IO protocol 4)
// that an application needs to tell its clients events: the main namespace, long polling,
// websocket and the upgrade from the one to the other, credentials in the handshake,
// text events both ways and acknowledgements of the client's.
//
// See https://socket.io/docs/v4/socket-io-protocol and engine-io-protocol. What it leaves
// out, a client is told: other namespaces, binary attachments, revision 3, WebTransport.
package socketio
