package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	connectTimeout = 10 * time.Second
	// callTimeout is for whole calls that are no streams. The node gives up first, so
	// that its reason is seen: after a minute, for what asks a provider.
	callTimeout = 75 * time.Second
)

// errNoAnswer is why a call was given up.
var errNoAnswer = fmt.Errorf("nothing came within %v; is the node overloaded, or is something between it and here?", callTimeout)

// client calls the API of a node.
type client struct {
	base, token, org string
	http             *http.Client
}

// newClient makes a client of the node at addr, a URL or host:port.
func newClient(addr, token, org, caFile string) (*client, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, usagef("--addr %q is no address of a node: give http(s)://host:port", addr)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4,
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		// Counted from the end of what is sent, so that it holds for streams, too.
		ResponseHeaderTimeout: callTimeout,
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read --ca-file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, usagef("--ca-file %s holds no certificate in PEM form", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &client{strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), token, org, &http.Client{Transport: transport}}, nil
}

// client makes the client of the node that the flags name, for an organisation's
// things.
func (a *app) client() (*client, error) {
	if a.token == "" {
		return nil, usagef("no token: set FIRESCAN_TOKEN, or make one with `firescan token create --org ORG --role ROLE`")
	}
	if a.org == "" {
		return nil, usagef("no organisation: set FIRESCAN_ORG, or give --org")
	}
	return newClient(a.addr, a.token, a.org, a.caFile)
}

// apiError is an answer that says no.
type apiError struct {
	Status  int
	Code    string
	Message string
	Details struct {
		Fields map[string]string
		Reason string
	}
}

func (e *apiError) Error() string {
	parts := make([]string, 0, len(e.Details.Fields)+1)
	for _, name := range slices.Sorted(maps.Keys(e.Details.Fields)) {
		parts = append(parts, name+" "+e.Details.Fields[name])
	}
	if e.Details.Reason != "" {
		parts = append(parts, e.Details.Reason)
	}
	text := strings.TrimSuffix(e.Message, "; see details.fields") // which follow
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, "; ")
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if next := nextStep[e.Code]; next != "" {
		text += "; " + next
	}
	return text
}

// refused tells whether the token was the reason.
func (e *apiError) refused() bool { return e.Code == "UNAUTHORIZED" || e.Code == "PERMISSION_DENIED" }

// nextStep says what to do about errors whose message cannot.
var nextStep = map[string]string{
	"UNAUTHORIZED":        "set FIRESCAN_TOKEN to a token made with `firescan token create --org ORG --role ROLE`",
	"STORAGE_NOT_FOUND":   "`firescan destination list` shows those that exist",
	"INVALID_CREDENTIALS": "check the key, its secret and the region; `firescan destination update` changes them",
	"INDEX_UNAVAILABLE":   "`firescan sync --watch` lists the bucket anew",
}

// call sends body, when not nil, as JSON, and decodes the data of the answer into
// data, when not nil.
func (c *client) call(ctx context.Context, method, path string, body, data any) error {
	raw, err := c.raw(ctx, method, path, body)
	if err != nil || data == nil {
		return err
	}
	if err := json.Unmarshal(raw, &struct{ Data any }{data}); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, notUnderstood(err))
	}
	return nil
}

// raw is call for the whole answer as it came.
func (c *client) raw(ctx context.Context, method, path string, body any) ([]byte, error) {
	var reader io.Reader
	contentType := ""
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader, contentType = bytes.NewReader(data), "application/json"
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errNoAnswer)
	defer cancel()
	return c.whole(ctx, method, path, contentType, reader)
}

// patient is raw for a call that takes as long as it takes.
func (c *client) patient(ctx context.Context, method, path string) ([]byte, error) {
	waits := *c
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.ResponseHeaderTimeout = 0
		waits.http = &http.Client{Transport: t}
		defer t.CloseIdleConnections()
	}
	return waits.whole(ctx, method, path, "", nil)
}

// whole is stream for an answer that is read to its end.
func (c *client) whole(ctx context.Context, method, path, contentType string, body io.Reader) ([]byte, error) {
	answer, err := c.stream(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Close() }()
	raw, err := io.ReadAll(answer)
	if err != nil {
		return nil, fmt.Errorf("%s %s: the answer was cut short: %w", method, path, cmp.Or(context.Cause(ctx), err))
	}
	return raw, nil
}

// stream sends a body of any size and answers that of a successful answer, which the
// caller closes.
func (c *client) stream(ctx context.Context, method, path, contentType string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if c.org != "" {
		req.Header.Set("X-Organization-Id", c.org)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var answer struct{ Error *apiError }
	_ = json.Unmarshal(raw, &answer) // details that are not known yet do no harm
	if answer.Error == nil || answer.Error.Message == "" {
		return nil, fmt.Errorf("%s %s: %s, and no answer of a firescan node (is FIRESCAN_ADDR right?)", method, c.base+path, resp.Status)
	}
	answer.Error.Status = resp.StatusCode
	return nil, answer.Error
}

// unreached says what to do when no answer came.
func (c *client) unreached(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: is a node running there? Start one with `firescan serve`, or set FIRESCAN_ADDR", c.base)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the address is told already
	}
	return fmt.Errorf("no answer from %s: %w", c.base, err)
}

// destinationPath is the path of a destination's things.
func destinationPath(id string, rest string) string {
	return "/api/v1/storage/destinations/" + url.PathEscape(id) + rest
}
