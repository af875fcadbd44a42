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

// importPath begins the paths of endpoints that read lines of records.
const importPath = "/api/v1/catalog/import"

// bodyTypes returns the content types of bodies that the route reads. The default type of
// curl -d and --data-binary is read as the first of them.
func (r *route) bodyTypes() []string {
	const form = "application/x-www-form-urlencoded"
	if strings.HasPrefix(r.path, importPath) {
		return []string{
			"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json",
			"application/gzip", "application/octet-stream", "text/plain", form,
		}
	}
	return []string{"application/json", form}
}

// gzipped reports whether the body is compressed.
func (c *call) gzipped() bool {
	encoding := strings.ToLower(c.Request.Header.Get("Content-Encoding"))
	return encoding == "gzip" || encoding == "x-gzip"
}

// checkContentType refuses a body of a type or an encoding that the route does not read. A
// body without a type is read.
func (c *call) checkContentType() error {
	if err := c.checkContentEncoding(); err != nil {
		return err
	}
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

// checkContentEncoding refuses an encoding that the route does not read. The response names
// the others (RFC 9110, section 15.5.16).
func (c *call) checkContentEncoding() error {
	given := c.Request.Header.Get("Content-Encoding")
	compressed := strings.HasPrefix(c.route.path, importPath)
	if given == "" || strings.EqualFold(given, "identity") || compressed && c.gzipped() || c.Request.ContentLength == 0 {
		return nil
	}
	accepted, message := "identity", "The body of this request must not be compressed"
	if compressed {
		accepted, message = "gzip, identity", "The body may be compressed with gzip only"
	}
	c.Header().Set("Accept-Encoding", accepted)
	return &Error{Code: CodeMediaType, Message: message + "; its Content-Encoding is not supported"}
}
