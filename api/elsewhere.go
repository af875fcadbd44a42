package api

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// passedHeader marks a request that another node passed on: it is not passed on again, so
// that none goes round in a circle while nodes see one another differently.
const passedHeader = "X-Firescan-Passed-On"

// passOn has a request about a shard that is not here answered by a node that holds it.
// It answers false when it is this node's to serve.
func (c *call) passOn() bool {
	if !c.route.ofShard() || c.Request.Header.Get(passedHeader) != "" {
		return false
	}
	host, ok := c.backend.locator.Holder(c.id())
	if !ok {
		return false
	}
	c.bodyTaken() // from here on it is the other node's to wait for it
	c.log.Debug("passed on to a node that holds the shard", "to", host)
	proxy := &httputil.ReverseProxy{
		Transport: c.backend.locator.Transport(),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: host})
			r.Out.Header.Set(passedHeader, "1")
			r.Out.Header.Set("X-Request-Id", c.Header().Get("X-Request-Id"))
		},
		ModifyResponse: func(r *http.Response) error {
			for name := range c.Header() {
				r.Header.Del(name) // this node has said it already
			}
			return nil
		},
		// Streams are handed on as they come.
		FlushInterval: -1,
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			if c.Request.Context().Err() != nil {
				err = c.Request.Context().Err()
				c.refuse(toError(c.context(), err))
				return
			}
			c.refuse(indexUnavailable(fmt.Errorf("pass the request on to %s: %w", host, err)))
		},
		ErrorLog: nil, // ErrorHandler tells
	}
	proxy.ServeHTTP(c, c.Request)
	return true
}
