package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

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

	status int // sent, 0 before; of a stream that was cut, the status of the cause
}

// serve returns the handler of a route, with what is the same for all requests.
func (b *backend) serve(route *route) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
		began := time.Now()
		b.metrics.inFlight.Inc()
		id := requestID(r)
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		c := &call{
			ResponseWriter: w, Request: r, backend: b, route: route, params: params,
			log: b.log.With("request", id, "method", r.Method, "route", route.path),
		}
		defer func() {
			b.metrics.inFlight.Dec()
			b.metrics.served(route.method, route.path, c.status, time.Since(began))
		}()
		c.run()
	}
}

// run handles the request and turns errors and panics into responses.
func (c *call) run() {
	defer func() {
		p := recover()
		switch p {
		case nil:
			return
		case http.ErrAbortHandler:
			panic(p)
		}
		c.log.Error("a request panicked", "panic", p, "stack", string(debug.Stack()))
		c.refuse(&Error{Code: CodeInternal, Message: internalMessage})
	}()
	control := http.NewResponseController(c.ResponseWriter)
	if c.route.timeout != noTimeout {
		t := c.timeout()
		ctx, cancel := context.WithTimeout(c.Request.Context(), t)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		// An expired read deadline looks like a client that left, even when its body
		// was read long ago. So it must be later than the route's own deadline.
		_ = control.SetWriteDeadline(time.Now().Add(t + slowClient))
		_ = control.SetReadDeadline(time.Now().Add(min(t, remote) + slowClient))
		if c.Request.ContentLength == 0 {
			c.bodyTaken()
		}
		c.Request.Body = http.MaxBytesReader(c.ResponseWriter, c.Request.Body, c.route.bodyLimit())
		if c.Request.ContentLength > c.route.bodyLimit() {
			c.refuse(toError(c.context(), &http.MaxBytesError{Limit: c.route.bodyLimit()}))
			return
		}
	} else if c.Request.ContentLength != 0 {
		// A stream has no known end, but a client that announces a body and does not
		// send it would hold the connection forever: the server reads the body before
		// it responds.
		_ = control.SetReadDeadline(time.Now().Add(slowClient))
	}
	if err := c.authorize(); err != nil {
		c.refuse(toError(c.context(), err))
		return
	}
	if err := c.checkParameters(); err != nil {
		c.refuse(toError(c.context(), err))
		return
	}
	if c.mutates() && c.route.timeout != noTimeout { // an import looks when it has read something
		if err := c.inTime(); err != nil {
			c.refuse(toError(c.context(), err))
			return
		}
	}
	if c.forward() {
		return
	}
	if err := c.handle(); err != nil {
		c.refuse(toError(c.context(), err))
	}
}

// bodyTaken extends the read deadline to the route's timeout once the body has been
// read.
func (c *call) bodyTaken() {
	if t := c.route.timeout; t > remote {
		_ = http.NewResponseController(c.ResponseWriter).SetReadDeadline(time.Now().Add(t + slowClient))
	}
}

// refuse sends an error. When the response has begun, it cuts the connection instead,
// so that the response does not look complete.
func (c *call) refuse(e *Error) {
	level := slog.LevelDebug
	switch status := e.Code.Status(); {
	case c.route.access == Public && status == http.StatusServiceUnavailable:
		// A probe repeats until the node is ready.
	case status == http.StatusServiceUnavailable, status == http.StatusBadGateway:
		level = slog.LevelWarn // passes by itself, or is a provider's, which has metrics
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, "the request failed", "code", e.Code, "error", e)
	if c.status != 0 {
		c.status = e.Code.Status() // for the metrics: it began well and failed
		panic(http.ErrAbortHandler)
	}
	c.fail(e)
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
	return c.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *call) context() context.Context { return c.Request.Context() }

// id returns the id in the path. An invalid id becomes one that no object has.
func (c *call) id() string {
	if id := c.params.ByName("id"); validID(id) {
		return id
	}
	return "~"
}

// authorize identifies the caller and checks its access.
func (c *call) authorize() error {
	if c.route.access == Public {
		return nil
	}
	scheme, plain, _ := strings.Cut(c.Request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || plain == "" {
		return &Error{Code: CodeUnauthorized, Message: "Send a token as 'Authorization: Bearer fsk_…'"}
	}
	token, err := c.backend.identify(c.context(), plain)
	if err != nil {
		return err
	}
	c.token, c.log = token, c.log.With("token", token.Id)
	org := c.Request.Header.Get("X-Organization-Id")
	if err := c.route.access.admit(token, org, invalidField("X-Organization-Id", "the header is required")); err != nil {
		return err
	}
	if c.route.access.OfOrganization() {
		c.org = org
	}
	return nil
}

// barrier makes later reads see all earlier writes, unless the client accepts stale
// data.
func (c *call) barrier() error {
	if c.Request.URL.Query().Get("consistency") == "stale" {
		return nil
	}
	return c.backend.consensus.Barrier(c.context())
}

// propose changes the catalog.
func (c *call) propose(command Command) (*pb.Result, error) {
	if err := c.inTime(); err != nil {
		return nil, err
	}
	return c.backend.consensus.Propose(c.context(), command)
}

// view reads the catalog after a barrier.
func (c *call) view(fn func(*catalog.Tx) error) error {
	if err := c.barrier(); err != nil {
		return err
	}
	return c.backend.catalog.View(fn)
}

// destination reads the destination in the path.
func (c *call) destination(tx *catalog.Tx) (*pb.Destination, error) {
	d, err := tx.Destination(c.org, c.id())
	return d, orNotFound(err, storageNotFound())
}

// readDestination reads the destination in the path after a barrier.
func (c *call) readDestination() (d *pb.Destination, err error) {
	err = c.view(func(tx *catalog.Tx) (err error) {
		d, err = c.destination(tx)
		return err
	})
	return d, err
}

// readKnownDestination is readDestination also for a deleted destination that records name.
func (c *call) readKnownDestination() (d *pb.Destination, err error) {
	err = c.view(func(tx *catalog.Tx) (err error) {
		if d, err = tx.Destination(c.org, c.id()); errors.Is(err, catalog.ErrNotFound) {
			d, err = tx.Tombstone(c.org, c.id())
		}
		return orNotFound(err, storageNotFound())
	})
	return d, err
}

// failure is why one of several items failed.
type failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// failed returns the failure for an error, and logs internal errors.
func (c *call) failed(err error) *failure {
	if err == nil {
		return nil
	}
	e := toError(c.context(), err)
	if e.Code == CodeInternal {
		c.log.Error("an item of the request failed", "error", e)
	}
	return &failure{e.Code, e.Message}
}

// requestID returns the client's own id if it is valid, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	sane := len(id) > 0 && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	}) < 0
	if sane {
		return id
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
