package api

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// options is the response to OPTIONS: the router has set Allow.
func options(c *call) error {
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// withoutSlash returns the request without a trailing slash in its path. A redirect would
// lose the body of a POST in many clients.
func withoutSlash(r *http.Request) *http.Request {
	if r.URL.Path == "/" || !strings.HasSuffix(r.URL.EscapedPath(), "/") {
		return r
	}
	short := new(http.Request)
	*short = *r
	short.URL = new(url.URL)
	*short.URL = *r.URL
	short.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
	short.URL.RawPath = strings.TrimSuffix(r.URL.RawPath, "/")
	return short
}

// bodyTypes returns the content types of bodies that the route reads. The default type of
// curl -d and --data-binary is read as the first of them.
func (r *route) bodyTypes() []string {
	const form = "application/x-www-form-urlencoded"
	if strings.HasPrefix(r.path, "/api/v1/catalog/import") {
		return []string{
			"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json",
			"application/gzip", "application/octet-stream", "text/plain", form,
		}
	}
	return []string{"application/json", form}
}

// checkContentType refuses a body of a type that the route does not read. A body without a
// type is read.
func (c *call) checkContentType() error {
	given := c.Request.Header.Get("Content-Type")
	if given == "" || c.Request.ContentLength == 0 || !c.mutates() {
		return nil
	}
	types := c.route.bodyTypes()
	name, _, err := mime.ParseMediaType(given)
	if slices.Contains(types, name) && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) {
		return nil
	}
	c.Header().Set("Accept", strings.Join(types, ", "))
	return &Error{Code: CodeMediaType, Message: "The content type of the body is not supported; send it as " + types[0]}
}
