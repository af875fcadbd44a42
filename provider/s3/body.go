package s3

import (
	"io"
	"net/http"
)

// steady sends requests whose bodies can be read and closed and nothing else. The SDK
// closes a body as soon as the response has begun, and its WriteTo then fails where Read
// would tell the end; net/http may just be asking whether the body has ended, and would
// break the connection off in the middle of the response.
type steady struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s steady) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r = r.WithContext(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return s.RoundTripper.RoundTrip(r)
}
