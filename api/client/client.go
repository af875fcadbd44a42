// Package client calls the Storage API of firescan. Its types and the methods of a Client
// are generated from openapi.yaml, by `make generate`.
//
//	c := &client.Client{Address: "http://127.0.0.1:8080", Token: token, Organization: "acme"}
//	destinations, err := client.Decode(c.ListDestinations(ctx, nil))
package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// A Client calls the API of a node. It is safe for concurrent use. To change a field for
// some calls, copy the client.
type Client struct {
	// Address is the URL of a node, or of a load balancer in front of the nodes.
	Address string
	// Token is the bearer token.
	Token string
	// Organization is the id of the organization that the token belongs to. Calls of an
	// administrator need none.
	Organization string
	// IdempotencyKey is the Idempotency-Key of POST requests, unless empty. The node
	// returns its first response to each request that is sent again with the key.
	IdempotencyKey string
	// HTTP sends the requests (default: http.DefaultClient).
	HTTP Doer
}

// A Doer sends requests, as *http.Client does.
type Doer interface {
	Do(r *http.Request) (*http.Response, error)
}

// A Response is a response to a successful request. The caller calls Decode, or reads the
// body and closes it.
type Response[T any] struct {
	Header http.Header
	Body   io.ReadCloser
}

// Decode reads the body and closes it.
func (r *Response[T]) Decode() (*T, error) {
	defer func() { _ = r.Body.Close() }()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("the response was cut short: %w", err)
	}
	value := new(T)
	if err := json.Unmarshal(raw, value); err != nil {
		return nil, fmt.Errorf("unexpected response (is this a firescan node?): %w", err)
	}
	return value, nil
}

// Decode returns the decoded response of a call: client.Decode(c.GetSync(ctx, id, nil)).
func Decode[T any](r *Response[T], err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return r.Decode()
}
