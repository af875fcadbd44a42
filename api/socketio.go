package api

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"firescan/api/socketio"
	pb "firescan/catalog/catalogpb"
)

// socketPath is the default path of Socket.IO clients.
const socketPath = "/socket.io/"

// sockets connects Socket.IO clients to the hub.
type sockets struct {
	backend *backend
	hub     *hub
}

var _ socketio.Application = sockets{}

// maxOpeningToken is the maximum length of a token in the request that opens a session. It is
// kept until the client has authenticated.
const maxOpeningToken = 1024

// openSocket returns the address and the token of a request that opens a session: the token
// in the header Authorization, or in the query.
func (b *backend) openSocket(r *http.Request) socketio.Opening {
	token := cmp.Or(r.Header.Get("Authorization"), r.URL.Query().Get("token"))
	if len(token) > maxOpeningToken {
		token = "" // as good as none
	}
	return socketio.Opening{Address: b.limits.key(r), Token: strings.Clone(token)}
}

// Connect implements socketio.Application, with the rules of the event stream.
func (s sockets) Connect(opened socketio.Opening, auth json.RawMessage) (socketio.Client, error) {
	client, err := s.connect(opened, auth)
	if err == nil {
		return client, nil
	}
	e := toError(context.Background(), err)
	level := slog.LevelDebug
	if e.Code.Status() == http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.backend.log.Log(context.Background(), level, "a Socket.IO client was refused", "code", e.Code, "error", e)
	return nil, &socketio.Refusal{Message: e.Message, Data: refusalData{e.Code, e.Details}}
}

// refusalData is the data of connect_error.
type refusalData struct {
	Code    Code `json:"code"`
	Details any  `json:"details,omitempty"`
}

// connect takes the token from auth or else from the request that opened the session, with or
// without "Bearer ". The organization is that of the token, unless the client names another.
func (s sockets) connect(opened socketio.Opening, auth json.RawMessage) (socketio.Client, error) {
	var in struct {
		Token          string `json:"token"`
		OrganizationID string `json:"organizationId"`
	}
	if len(auth) > 0 && json.Unmarshal(auth, &in) != nil {
		return nil, invalidField("auth", "must be an object with the strings token and organizationId")
	}
	plain := withoutScheme(cmp.Or(in.Token, opened.Token))
	if plain == "" {
		return nil, &Error{Code: CodeUnauthorized, Message: "Send a token in the handshake as auth: {token}, in the header Authorization, or as the parameter token of the query"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), quick)
	defer cancel()
	token, err := s.backend.identify(ctx, opened.Address, plain)
	if err != nil {
		return nil, err
	}
	if err := Read.admit(token, cmp.Or(in.OrganizationID, token.Org), &Error{Code: CodeDenied, Message: "The token belongs to no organization"}); err != nil {
		return nil, err
	}
	l, err := s.hub.listen(token.Org, token.Id, asSocketIO)
	if err != nil {
		return nil, err
	}
	return &socket{s, token, l}, nil
}

// withoutScheme returns a token without the scheme that headers have before it.
func withoutScheme(token string) string {
	token = strings.TrimSpace(token)
	if scheme, plain, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(plain)
	}
	return token
}

// socket is a connected client. It is in the room of its organization and in no other.
type socket struct {
	sockets  sockets
	token    *pb.Token
	listener *listener
}

var _ socketio.Client = (*socket)(nil)

func (s *socket) Events() <-chan []byte { return s.listener.frames }
func (s *socket) Authorized() bool      { return s.sockets.backend.valid(s.token) }
func (s *socket) Close(slow bool)       { s.sockets.hub.leave(s.listener, slow) }

// Handle implements socketio.Client.
func (s *socket) Handle(event string, args []json.RawMessage) any {
	if event != "subscribe" {
		return denied(&Error{Code: CodeNotFound, Message: "Unknown event; use subscribe"})
	}
	org, err := subscription(args)
	switch {
	case err != nil:
		return denied(err)
	case org != "" && org != s.token.Org:
		return denied(&Error{Code: CodeDenied, Message: "The token belongs to another organization"})
	}
	return envelope{Success: true, Data: map[string]string{"room": roomPrefix + s.token.Org}}
}

// roomPrefix plus the organization is the name of its room.
const roomPrefix = "storage:"

// subscription returns the organization that a client asks for: as {organizationId}, by
// its id, by its room, or empty for its own.
func subscription(args []json.RawMessage) (org string, err *Error) {
	if len(args) == 0 {
		return "", nil
	}
	var room string
	if json.Unmarshal(args[0], &room) == nil {
		return strings.TrimPrefix(room, roomPrefix), nil
	}
	var in struct {
		OrganizationID string `json:"organizationId"`
	}
	if json.Unmarshal(args[0], &in) != nil {
		return "", invalidField("subscribe", "must be {organizationId}, or the name of a room")
	}
	return in.OrganizationID, nil
}

// denied returns the acknowledgement of a refused event.
func denied(e *Error) envelope {
	return envelope{Error: &errorBody{Code: e.Code, Message: e.Message, Details: e.Details}}
}
