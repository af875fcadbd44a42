package api

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"
)

// serve returns the handler of a route, with what is the same for all requests.
func (b *backend) serve(route *route) httprouter.Handle {
	action := auditActions()[route.method+" "+route.path]
	return func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
		began := time.Now()
		b.metrics.inFlight.Inc()
		id := requestID(r)
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		c := &call{
			ResponseWriter: w, Request: r, backend: b, route: route, params: params, action: action,
			log: b.log.With("request", id, "method", r.Method, "route", route.path),
		}
		defer func() {
			b.metrics.inFlight.Dec()
			c.record()
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
	if err := c.checkContentType(); err != nil {
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
	if err := c.handle(); err != nil && !errors.Is(err, errHeadSent) {
		c.refuse(toError(c.context(), err))
	}
}

// authorize identifies the caller and checks its access.
func (c *call) authorize() error {
	if c.route.access == Public || c.route.access == Scrape && c.backend.openMetrics && c.fromLoopback() {
		return nil
	}
	scheme, plain, _ := strings.Cut(c.Request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || plain == "" {
		return &Error{Code: CodeUnauthorized, Message: "Send a token as 'Authorization: Bearer fsk_…'"}
	}
	token, err := c.backend.identify(c.context(), c.backend.limits.key(c.Request), plain)
	if err != nil {
		return err
	}
	c.token, c.log = token, c.log.With("token", token.Id)
	if !c.fromMember() { // which has counted it
		if err := c.backend.limits.request(token); err != nil {
			return err
		}
	}
	org := c.Request.Header.Get("X-Organization-Id")
	if err := c.route.access.admit(token, org, invalidField("X-Organization-Id", "the header is required")); err != nil {
		return err
	}
	if c.route.access.OfOrganization() {
		c.org = org
	}
	return nil
}
