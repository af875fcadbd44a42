// Package contract holds requests and answers against the API's OpenAPI document. It is
// for tests: a client whose transport is a Contract's cannot take an undocumented answer
// unnoticed.
package contract

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// maxBody is up to which size, in bytes, a body is held against its schema: a list of a
// hundred thousand files tells no more than one of a hundred.
const maxBody = 256 << 10

// Contract is an OpenAPI document that calls are held against. It is safe for
// concurrent use.
type Contract struct {
	doc    *openapi3.T
	router routers.Router
	// breach is told what does not keep to the document.
	breach func(string)

	mu   sync.Mutex
	seen map[string]bool
}

// New reads an OpenAPI document (JSON or YAML), checks it, and tells breach of every
// later breach.
func New(document []byte, breach func(string)) (*Contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("the OpenAPI document is not valid: %w", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route by the OpenAPI document: %w", err)
	}
	return &Contract{doc: doc, router: router, breach: breach, seen: map[string]bool{}}, nil
}

// Operations lists what the document describes, as "GET /path/{id}".
func (c *Contract) Operations() []string {
	var all []string
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	return all
}

// Seen tells which of the operations were called with success.
func (c *Contract) Seen(operation string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[operation]
}

// Transport makes calls by base and holds each against the document: the answer always,
// the request when it was served, since many tests send wrong ones.
func (c *Contract) Transport(base http.RoundTripper) http.RoundTripper {
	return transport{c, base}
}

type transport struct {
	*Contract
	base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength >= 0 && r.ContentLength <= maxBody {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return res, t.judge(r, sent, res)
}

// CloseIdleConnections serves http.Client.CloseIdleConnections.
func (t transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// judge holds a call against the document. An endpoint that the document does not know
// may only be answered with 404 or 405.
func (c *Contract) judge(r *http.Request, sent []byte, res *http.Response) error {
	name := r.Method + " " + r.URL.Path
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		if res.StatusCode < http.StatusBadRequest {
			c.breach(fmt.Sprintf("%s is answered %d and not described", name, res.StatusCode))
		}
		return nil
	}
	operation := r.Method + " " + route.Path
	input := &openapi3filter.RequestValidationInput{
		Request: r.Clone(r.Context()), PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true,
			IncludeResponseStatus: true, MultiError: true,
		},
	}
	input.Request.Body = io.NopCloser(bytes.NewReader(sent))
	if res.StatusCode < 300 {
		c.mu.Lock()
		c.seen[operation] = true
		c.mu.Unlock()
		if json := strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"); !json && sent != nil {
			input.Request.Header = r.Header.Clone() // curl's default type is read as JSON, too
			input.Request.Header.Set("Content-Type", onlyType(route))
		}
		input.Options.ExcludeRequestBody = sent == nil || onlyType(route) != "application/json"
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			c.breach(fmt.Sprintf("%s was served and is no described request: %v", name, err))
		}
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") || res.ContentLength < 0 || res.ContentLength > maxBody {
		return nil // a stream, or long
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: res.StatusCode, Header: res.Header, Options: input.Options,
	}
	if err := openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(body)); err != nil {
		c.breach(fmt.Sprintf("%s is answered %d, which is not as described: %v\n%s", name, res.StatusCode, err, body))
	}
	return nil
}

// onlyType is the type of body that an operation takes.
func onlyType(route *routers.Route) string {
	if body := route.Operation.RequestBody; body != nil && body.Value != nil {
		for name := range body.Value.Content {
			return name
		}
	}
	return ""
}
