package api

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"
)

// forwardedHeader marks a request that another node forwarded. It is not forwarded
// again, so that none goes in circles while nodes disagree about the holders.
const forwardedHeader = "X-Firescan-Passed-On"

// forward has a request that reads a shard served by a node that holds it. It returns
// false when this node serves the request itself.
func (c *call) forward() bool {
	if !c.route.ofShard() || c.Request.Header.Get(forwardedHeader) != "" {
		return false
	}
	host, ok := c.backend.locator.Holder(c.id())
	if !ok {
		return false
	}
	c.forwarded = true
	c.bodyTaken() // from here on the other node waits for it
	c.log.Debug("request forwarded to a node that holds the shard", "to", host)
	proxy := &httputil.ReverseProxy{
		Transport: c.backend.locator.Transport(),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: host})
			r.Out.Header.Set(forwardedHeader, "1")
			r.Out.Header.Set(addressHeader, c.address().String())
			if end, ok := c.context().Deadline(); ok {
				r.Out.Header.Set(timeLeftHeader, strconv.FormatInt(time.Until(end).Milliseconds(), 10))
			}
			r.Out.Header.Set("X-Request-Id", c.Header().Get("X-Request-Id"))
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Header.Get("Cache-Control") != "" {
				c.Header().Del("Cache-Control") // the node that responds knows better
			}
			for name := range c.Header() {
				r.Header.Del(name) // this node has set it already
			}
			return nil
		},
		// Streams are forwarded as they arrive.
		FlushInterval: -1,
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			if c.Request.Context().Err() != nil {
				err = c.Request.Context().Err()
				c.refuse(toError(c.context(), err))
				return
			}
			c.refuse(indexUnavailable(fmt.Errorf("forward the request to node %s: %w", host, err)))
		},
		ErrorLog: nil, // ErrorHandler logs
	}
	proxy.ServeHTTP(c, c.Request)
	return true
}
