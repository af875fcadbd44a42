package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	apiclient "firescan/api/client"
)

const (
	connectTimeout = 10 * time.Second
	// callTimeout limits calls that are not streams. It is longer than the timeout of the
	// node for calls of a provider, one minute, so that the node's error is seen.
	callTimeout = 75 * time.Second
)

// errTimeout is the cause of a call that took longer than callTimeout.
var errTimeout = fmt.Errorf("timeout after %v; check the load of the node and the network in between", callTimeout)

// A client calls the API of a node.
type client struct {
	base, token, org string
	http             *http.Client
	idempotencyKey   string // of POST requests, unless empty
}

// newClient returns a client for the node at addr, a URL or host:port.
func newClient(addr, token, org, caFile string) (*client, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, usagef("--addr %q is not the address of a node: give http(s)://host:port", addr)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4,
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		// It starts when the request is sent, and so applies to streams, too.
		ResponseHeaderTimeout: callTimeout,
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read --ca-file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, usagef("--ca-file %s has no certificate in PEM format", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &client{base: strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), token: token, org: org, http: &http.Client{Transport: transport}}, nil
}

// api returns the generated client, for calls that end within callTimeout.
func (c *client) api() *apiclient.Client { return c.generated(callTimeout) }

// unlimited returns the generated client, for streams and calls whose duration grows with
// the number of files.
func (c *client) unlimited() *apiclient.Client { return c.generated(0) }

// patient returns the generated client, for calls whose response may begin late.
func (c *client) patient() *apiclient.Client {
	patient := *c
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.ResponseHeaderTimeout, t.DisableKeepAlives = 0, true
		patient.http = &http.Client{Transport: t}
	}
	return patient.generated(0)
}

func (c *client) generated(timeout time.Duration) *apiclient.Client {
	return &apiclient.Client{
		Address: c.base, Token: c.token, Organization: c.org, IdempotencyKey: c.idempotencyKey, HTTP: &sender{c, timeout},
	}
}

// A sender sends the requests of the generated client.
type sender struct {
	client  *client
	timeout time.Duration // 0: none
}

// Do implements apiclient.Doer. Its errors name the next step.
func (s *sender) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := r.Context(), func() {}
	if s.timeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, s.timeout, errTimeout)
	}
	resp, err := s.client.http.Do(r.WithContext(ctx))
	if err != nil {
		defer cancel()
		return nil, s.client.connectionError(ctx, err)
	}
	resp.Body = &body{resp.Body, cancel, func() error { return context.Cause(ctx) }}
	return resp, nil
}

// A body is the body of a response. Its read errors state why a request was interrupted.
type body struct {
	io.ReadCloser
	cancel func()
	cause  func() error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = cmp.Or(b.cause(), err)
	}
	return n, err
}

func (b *body) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// connectionError adds the next step to an error without a response.
func (c *client) connectionError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("cannot connect to %s: connection refused; start a node with `firescan serve`, or set FIRESCAN_ADDR", c.base)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, errUnreadable):
		return errors.Unwrap(err)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the address is in the message below
	}
	return fmt.Errorf("no response from %s: %w", c.base, err)
}

// errUnreadable begins the errors of reading the records, which no connection has caused.
var errUnreadable = errors.New("the records cannot be read")
