package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

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
		// Answers begin quickly, or with what was asked to wait for (25 s).
		ResponseHeaderTimeout: 2 * time.Minute,
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
	var b strings.Builder
	b.WriteString(e.Message)
	for _, name := range slices.Sorted(maps.Keys(e.Details.Fields)) {
		fmt.Fprintf(&b, "\n  %s %s", name, e.Details.Fields[name])
	}
	if e.Details.Reason != "" {
		fmt.Fprintf(&b, ": %s", e.Details.Reason)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	if next := nextStep[e.Code]; next != "" {
		b.WriteString("\n" + next)
	}
	return b.String()
}

// nextStep says what to do about errors whose message cannot.
var nextStep = map[string]string{
	"UNAUTHORIZED":      "Set FIRESCAN_TOKEN to a token made with `firescan token create --org ORG --role ROLE`.",
	"STORAGE_NOT_FOUND": "`firescan destination list` shows those that exist.",
	"INVALID_CREDENTIALS": "Check the key, its secret and the region, then change them with " +
		"`firescan destination remove` and `add`.",
	"INDEX_UNAVAILABLE": "`firescan sync --watch` lists the bucket anew.",
}

// call sends body, when not nil, as JSON, and decodes the data of the answer into
// data, when not nil.
func (c *client) call(ctx context.Context, method, path string, body, data any) error {
	raw, err := c.raw(ctx, method, path, body)
	if err != nil || data == nil {
		return err
	}
	if err := json.Unmarshal(raw, &struct{ Data any }{data}); err != nil {
		return fmt.Errorf("%s %s: an answer that is not understood (is this a firescan node?): %w", method, path, err)
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
	answer, err := c.stream(ctx, method, path, contentType, reader)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Close() }()
	raw, err := io.ReadAll(answer)
	if err != nil {
		return nil, fmt.Errorf("%s %s: the answer was cut short: %w", method, path, err)
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
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Error == nil {
		return nil, fmt.Errorf("%s %s: %s, and no answer of a firescan node (is FIRESCAN_ADDR right?)", method, c.base+path, resp.Status)
	}
	answer.Error.Status = resp.StatusCode
	return nil, answer.Error
}

// unreached says what to do when no answer came.
func (c *client) unreached(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: is a node running? Start one with `firescan serve`, or set FIRESCAN_ADDR to where it is", c.base)
	}
	return fmt.Errorf("no answer from %s: %w", c.base, err)
}

// destinationPath is the path of a destination's things.
func destinationPath(id string, rest string) string {
	return "/api/v1/storage/destinations/" + url.PathEscape(id) + rest
}
