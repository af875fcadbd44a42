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

// client calls the API of whichever node it is told to, with one token.
type client struct {
	http       *http.Client
	token, org string
	passedOn   bool // so that the node answers itself or not at all
}

// answer is what a node answered, good or bad.
type answer struct {
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

func (a *answer) good() bool { return a.Status/100 == 2 }

// String is the answer in the words of an error.
func (a *answer) String() string {
	return fmt.Sprintf("%d %s %s %s", a.Status, a.Error.Code, a.Error.Message, a.Error.Details)
}

// asked is a request; body is sent as JSON unless it is an io.Reader.
type asked struct {
	method, path string
	body         any
	key          string // Idempotency-Key
	within       time.Duration
}

const usualWait = 10 * time.Second

// ask makes one request of one node. An error says that no whole answer came, so that
// nobody knows what it has done.
func (c *client) ask(ctx context.Context, n *node, q asked) (*answer, error) {
	if q.within == 0 {
		q.within = usualWait
	}
	ctx, cancel := context.WithTimeout(ctx, q.within)
	defer cancel()
	began := time.Now()
	resp, err := c.open(ctx, n, q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s to %s %s: %w", n.id, q.method, q.path, err)
	}
	a := &answer{}
	if err := json.Unmarshal(raw, a); err != nil {
		return nil, fmt.Errorf("%s answered %s %s with %q: %w", n.id, q.method, q.path, raw, err)
	}
	a.Status, a.took = resp.StatusCode, time.Since(began)
	a.replayed = resp.Header.Get("Idempotency-Replayed") != ""
	return a, nil
}

// open makes a request and answers as soon as the headers of the answer are there.
func (c *client) open(ctx context.Context, n *node, q asked) (*http.Response, error) {
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
	if c.passedOn {
		req.Header.Set("X-Firescan-Passed-On", "1")
	}
	if q.key != "" {
		req.Header.Set("Idempotency-Key", q.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", n.id, err)
	}
	return resp, nil
}

// passing tells whether another try may help.
func passing(a *answer, err error) bool {
	return err != nil || a.Status == http.StatusServiceUnavailable || a.Status == http.StatusBadGateway
}

// persist asks the given nodes in turn until one answers for good, as a client behind a load
// balancer would that tries again. Nodes that do not run are passed over.
func (c *client) persist(ctx context.Context, nodes []*node, q asked) (a *answer, tries int, err error) {
	const patience = 90 * time.Second
	if q.within == 0 {
		q.within = 5 * time.Second
	}
	for end := time.Now().Add(patience); ; {
		for _, n := range nodes {
			if !n.running() {
				continue
			}
			tries++
			if a, err = c.ask(ctx, n, q); !passing(a, err) {
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
			return nil, tries, fmt.Errorf("%s %s: nothing but refusals for %v, at last: %w", q.method, q.path, patience, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// must asks any node until it answers well, and decodes what it says.
func (c *cluster) must(t testing.TB, as *client, q asked, data any) {
	t.Helper()
	a, _, err := as.persist(t.Context(), c.up(), q)
	if err != nil {
		t.Fatal(err)
	}
	if !a.good() {
		t.Fatalf("%s %s: %s", q.method, q.path, a)
	}
	decode(t, a, data)
}

func decode(t testing.TB, a *answer, data any) {
	t.Helper()
	if data == nil {
		return
	}
	if err := json.Unmarshal(a.Data, data); err != nil {
		t.Fatalf("an answer that is not understood: %v\n%s", err, a.Data)
	}
}

// metric reads one metric without labels of a node; ok is false when it does not answer.
func (c *cluster) metric(ctx context.Context, n *node, name string) (value float64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	resp, err := c.admin.open(ctx, n, asked{method: http.MethodGet, path: "/metrics"})
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
