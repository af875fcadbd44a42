package systemtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client calls the API of any node, with one token.
type client struct {
	http       *http.Client
	token, org string
	forwarded  bool // the node must not forward the request
}

// A response is a response of a node, successful or not.
type response struct {
	Status int `json:"-"`
	Data   json.RawMessage
	Meta   struct {
		NextCursor string
	}
	Error struct {
		Code, Message string
		Details       json.RawMessage
	}
	replayed bool
	took     time.Duration
}

func (a *response) ok() bool { return a.Status/100 == 2 }

// String formats an error response.
func (a *response) String() string {
	return fmt.Sprintf("%d %s %s %s", a.Status, a.Error.Code, a.Error.Message, a.Error.Details)
}

// A request is sent with body as JSON, unless it is an io.Reader.
type request struct {
	method, path string
	body         any
	key          string // Idempotency-Key
	timeout      time.Duration
}

const defaultTimeout = 10 * time.Second

// do sends one request to one node. After an error, it is unknown whether the request had
// an effect.
func (c *client) do(ctx context.Context, n *node, q request) (*response, error) {
	if q.timeout == 0 {
		q.timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	began := time.Now()
	resp, err := c.open(ctx, n, q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the response of %s to %s %s: %w", n.id, q.method, q.path, err)
	}
	a := &response{}
	if err := json.Unmarshal(raw, a); err != nil {
		return nil, fmt.Errorf("decode the response of %s to %s %s: %q: %w", n.id, q.method, q.path, raw, err)
	}
	a.Status, a.took = resp.StatusCode, time.Since(began)
	a.replayed = resp.Header.Get("Idempotency-Replayed") != ""
	return a, nil
}

// open sends a request and returns when the headers of the response arrive.
func (c *client) open(ctx context.Context, n *node, q request) (*http.Response, error) {
	body, isReader := q.body.(io.Reader)
	kind := "application/x-ndjson"
	if q.body != nil && !isReader {
		encoded, err := json.Marshal(q.body)
		if err != nil {
			return nil, err
		}
		body, kind = bytes.NewReader(encoded), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, q.method, "http://"+n.http+q.path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if c.org != "" {
		req.Header.Set("X-Organization-Id", c.org)
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if c.forwarded {
		req.Header.Set("X-Firescan-Passed-On", "1")
	}
	if q.key != "" {
		req.Header.Set("Idempotency-Key", q.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", n.id, err)
	}
	return resp, nil
}

// retryable reports whether a retry may succeed.
func retryable(a *response, err error) bool {
	return err != nil || a.Status == http.StatusServiceUnavailable || a.Status == http.StatusBadGateway
}

// retry tries the given nodes in turn until the response is not retryable, like a client
// behind a load balancer. It skips nodes that do not run.
func (c *client) retry(ctx context.Context, nodes []*node, q request) (a *response, tries int, err error) {
	const patience = 90 * time.Second
	if q.timeout == 0 {
		q.timeout = 5 * time.Second
	}
	for end := time.Now().Add(patience); ; {
		for _, n := range nodes {
			if !n.running() {
				continue
			}
			tries++
			if a, err = c.do(ctx, n, q); !retryable(a, err) {
				return a, tries, nil
			}
			if ctx.Err() != nil {
				return nil, tries, ctx.Err()
			}
		}
		if time.Now().After(end) {
			if err == nil {
				err = errors.New(a.String())
			}
			return nil, tries, fmt.Errorf("%s %s: no success after retries for %v: %w", q.method, q.path, patience, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// must retries a request on all nodes until it succeeds, and decodes the response.
func (c *cluster) must(t testing.TB, as *client, q request, data any) {
	t.Helper()
	a, _, err := as.retry(t.Context(), c.up(), q)
	if err != nil {
		t.Fatal(err)
	}
	if !a.ok() {
		t.Fatalf("%s %s: %s", q.method, q.path, a)
	}
	decode(t, a, data)
}

func decode(t testing.TB, a *response, data any) {
	t.Helper()
	if data == nil {
		return
	}
	if err := json.Unmarshal(a.Data, data); err != nil {
		t.Fatalf("unexpected response: %v\n%s", err, a.Data)
	}
}

// metric returns a metric without labels; ok is false if the node does not respond.
func (c *cluster) metric(ctx context.Context, n *node, name string) (value float64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	resp, err := c.admin.open(ctx, n, request{method: http.MethodGet, path: "/metrics"})
	if err != nil {
		return 0, false
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, false
	}
	_, after, found := strings.Cut(string(raw), "\n"+name+" ")
	if !found {
		return 0, false
	}
	_, err = fmt.Sscan(after, &value)
	return value, err == nil
}
