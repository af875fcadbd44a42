// Package contract checks requests and responses against the API's OpenAPI document. It is
// for tests: a client with a Contract's transport notices every undocumented response.
package contract

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// maxBody is the maximum size, in bytes, of a body that is checked against its schema: long
// lists show no more than short ones.
const maxBody = 256 << 10

// A Contract checks calls against an OpenAPI document. It is safe for concurrent use.
type Contract struct {
	doc    *openapi3.T
	router routers.Router
	// breach is called with each deviation from the document.
	breach func(string)

	mu   sync.Mutex
	seen map[string]bool
}

// timeField matches fields with times.
var timeField = regexp.MustCompile(`"(?:\w*At|at|since|lastModified)":"([^"]*)"`)

// checkTimes checks that the times in a body have the one form that all have.
func checkTimes(body []byte) error {
	for _, field := range timeField.FindAllSubmatch(body, -1) {
		if t := field[1]; len(t) != len("2006-01-02T15:04:05.000Z") || t[len(t)-1] != 'Z' {
			return fmt.Errorf("the time %s is not in UTC with three digits of milliseconds", field[0])
		}
	}
	return nil
}

// New reads and checks an OpenAPI document (JSON or YAML). breach is called with every
// deviation of a later call.
func New(document []byte, breach func(string)) (*Contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("invalid OpenAPI document: %w", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route by the OpenAPI document: %w", err)
	}
	return &Contract{doc: doc, router: router, breach: breach, seen: map[string]bool{}}, nil
}

// Operations returns the operations of the document, as "GET /path/{id}".
func (c *Contract) Operations() []string {
	var all []string
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	return all
}

// Seen reports whether an operation was called with success.
func (c *Contract) Seen(operation string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[operation]
}

// Transport makes calls through base and checks each against the document: the response
// always, the request only after success, since many tests send invalid ones.
func (c *Contract) Transport(base http.RoundTripper) http.RoundTripper {
	return transport{contract: c, base: base}
}

type transport struct {
	contract *Contract
	base     http.RoundTripper
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
	return res, t.contract.check(r, sent, res)
}

// CloseIdleConnections serves http.Client.CloseIdleConnections.
func (t transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// check checks a call. The status of an endpoint outside the document must be an error.
func (c *Contract) check(r *http.Request, sent []byte, res *http.Response) error {
	name := r.Method + " " + r.URL.Path
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		if res.StatusCode < http.StatusBadRequest {
			c.breach(fmt.Sprintf("%s returned %d and is not in the document", name, res.StatusCode))
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
	input.Request.GetBody = nil // or it would be read instead
	input.Request.Body = io.NopCloser(bytes.NewReader(bytes.TrimPrefix(sent, []byte("\ufeff"))))
	if res.StatusCode < 300 {
		c.mu.Lock()
		c.seen[operation] = true
		c.mu.Unlock()
		if json := strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"); !json && sent != nil {
			input.Request.Header = r.Header.Clone() // curl's default type is read as JSON too
			input.Request.Header.Set("Content-Type", onlyType(route))
		}
		input.Options.ExcludeRequestBody = sent == nil || onlyType(route) != "application/json"
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			c.breach(fmt.Sprintf("%s succeeded with a request that the document does not allow: %v", name, err))
		}
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") || res.ContentLength < 0 || res.ContentLength > maxBody {
		return nil // a stream, or too long
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := checkTimes(body); err != nil && res.StatusCode < 300 {
		c.breach(fmt.Sprintf("%s: %v\n%s", name, err, body))
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: res.StatusCode, Header: res.Header, Options: input.Options,
	}
	if err := openapi3filter.ValidateResponse(r.Context(), response.SetBodyBytes(body)); err != nil {
		c.breach(fmt.Sprintf("%s returned %d with a response that the document does not allow: %v\n%s", name, res.StatusCode, err, body))
	}
	return nil
}

// onlyType returns the content type of the bodies of an operation.
func onlyType(route *routers.Route) string {
	if body := route.Operation.RequestBody; body != nil && body.Value != nil {
		for name := range body.Value.Content {
			return name
		}
	}
	return ""
}
