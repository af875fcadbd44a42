package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// A request is what a generated method sends.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         io.Reader
	err          error // of encoding the body
}

// setQuery sets a parameter, unless the value is zero: no parameter has a zero value that
// differs from its absence.
func (r *request) setQuery(name string, value any) {
	if reflect.ValueOf(value).IsZero() {
		return
	}
	if r.query == nil {
		r.query = url.Values{}
	}
	r.query.Set(name, fmt.Sprint(value))
}

// setHeader is setQuery for a parameter in a header.
func (r *request) setHeader(name string, value any) {
	if reflect.ValueOf(value).IsZero() {
		return
	}
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(name, fmt.Sprint(value))
}

func (r *request) setBody(contentType string, body io.Reader) {
	r.setHeader("Content-Type", contentType)
	r.body = body
}

func (r *request) setJSON(value any) {
	var raw []byte
	raw, r.err = json.Marshal(value)
	r.setBody("application/json", bytes.NewReader(raw))
}

// send sends a request, and returns the response if it is a success, else an *Error.
func send[T any](ctx context.Context, c *Client, r *request) (*Response[T], error) {
	if r.err != nil {
		return nil, fmt.Errorf("encode the request: %w", r.err)
	}
	address := strings.TrimRight(c.Address, "/") + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, r.body)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"X-Organization-Id": c.Organization, "Authorization": c.authorization(), "Idempotency-Key": c.key(r.method)} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	for name := range r.header {
		req.Header.Set(name, r.header.Get(name))
	}
	resp, err := c.do(req) //nolint:bodyclose // the caller closes it
	if err != nil {
		return nil, err
	}
	if err := CheckResponse(resp); err != nil {
		return nil, err
	}
	return &Response[T]{Header: resp.Header, Body: resp.Body}, nil
}

// stream sends a request whose response is not JSON.
func (c *Client) stream(ctx context.Context, r *request) (io.ReadCloser, error) {
	resp, err := send[any](ctx, c, r)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (c *Client) do(req *http.Request) (*http.Response, error) {
	if c.HTTP == nil {
		return http.DefaultClient.Do(req)
	}
	return c.HTTP.Do(req)
}

func (c *Client) authorization() string {
	if c.Token == "" {
		return ""
	}
	return "Bearer " + c.Token
}

// key returns the Idempotency-Key of requests with a method.
func (c *Client) key(method string) string {
	if method != http.MethodPost {
		return ""
	}
	return c.IdempotencyKey
}
