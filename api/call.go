package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/julienschmidt/httprouter"

	pb "firescan/catalog/catalogpb"
)

// errHeadSent ends the handler of a stream whose client wants its header only.
var errHeadSent = errors.New("the request is HEAD")

// slowClient is how long a client may take to send or receive the next part of a body.
const slowClient = 30 * time.Second

// extendWriteDeadline gives the client time for the next part of a stream.
func (c *call) extendWriteDeadline() {
	// Some writers of tests have no deadlines.
	_ = http.NewResponseController(c.ResponseWriter).SetWriteDeadline(time.Now().Add(slowClient))
}

// call is one request and its response.
type call struct {
	http.ResponseWriter
	Request *http.Request
	backend *backend
	route   *route
	params  httprouter.Params
	// token and org are the caller's, nil and empty on public routes.
	token *pb.Token
	org   string
	log   *slog.Logger
	once  *once // of a POST with an Idempotency-Key

	action    string // in the audit, "" for none
	audited   audited
	forwarded bool // to another node
	code      Code // of the error

	status int // sent, 0 before; of a stream that was cut, the status of the cause
}

// bodyTaken extends the read deadline to the route's timeout once the body has been
// read.
func (c *call) bodyTaken() {
	if t := c.route.timeout; t > remote {
		_ = http.NewResponseController(c.ResponseWriter).SetReadDeadline(time.Now().Add(t + slowClient))
	}
}

// WriteHeader implements http.ResponseWriter.
func (c *call) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *call) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	if c.Request.Method == http.MethodHead && c.route.timeout == noTimeout {
		return 0, errHeadSent
	}
	return c.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *call) context() context.Context { return c.Request.Context() }

// once makes a POST with an Idempotency-Key take effect once.
type once struct {
	key         string
	fingerprint []byte
	// applied is true when an earlier try of the request has proposed its command.
	applied bool
	// private responses are not stored: they show a secret.
	private bool
	// status and body are the response, held back until it is stored; status is 0
	// without one.
	status int
	body   []byte
}

// fromMember reports whether another node of the cluster forwarded the request.
func (c *call) fromMember() bool {
	_, ok := c.Request.Context().Value(memberKey{}).(netip.Addr)
	return ok
}

// fromLoopback reports whether the client is on the same machine, as far as the request
// shows: it names no proxy.
func (c *call) fromLoopback() bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if c.Request.Header.Get(name) != "" {
			return false
		}
	}
	return !c.fromMember() && parseAddress(c.Request.RemoteAddr).IsLoopback()
}

// address returns the address of the client.
func (c *call) address() netip.Addr { return c.backend.limits.proxies.client(c.Request) }
