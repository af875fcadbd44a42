package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	readHeaderTimeout = 10 * time.Second
	// A silent connection is pinged, so that requests to a frozen node, or to one behind a
	// partition, do not wait for TCP to notice.
	pingAfter    = 2 * time.Second
	pingTimeout  = 3 * time.Second
	writeTimeout = 5 * time.Second
	idleTimeout  = 5 * time.Minute
	// maxStreams bounds the concurrent requests of one node.
	maxStreams = 1024
	// maxHeaders bounds the headers of a request: those of a forwarded one, and a few more.
	maxHeaders = 80 << 10
)

// http2Config is the configuration of both ends of a connection.
func http2Config() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: writeTimeout,
	}
}

func onlyHTTP2() *http.Protocols {
	var p http.Protocols
	p.SetHTTP2(true)
	return &p
}

func newServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaders,
		HTTP2: http2Config(), Protocols: onlyHTTP2(),
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// httpClient is the HTTP transport to other nodes. renew makes later requests use new
// connections, while those of earlier ones end.
type httpClient struct {
	dial    func(ctx context.Context, id string) (net.Conn, error)
	current atomic.Pointer[http.Transport]
}

func newClient(dial func(ctx context.Context, id string) (net.Conn, error)) *httpClient {
	c := &httpClient{dial: dial}
	c.renew()
	return c
}

func (c *httpClient) renew() {
	before := c.current.Swap(&http.Transport{
		DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			id, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, &DialError{err}
			}
			return c.dial(ctx, id)
		},
		Protocols: onlyHTTP2(), HTTP2: http2Config(),
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13}, // DialTLSContext has its own
		TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: idleTimeout,
		// Segments are compressed already, and commands are small.
		DisableCompression: true,
	})
	if before != nil {
		before.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (c *httpClient) RoundTrip(r *http.Request) (*http.Response, error) {
	return c.current.Load().RoundTrip(r)
}

// CloseIdleConnections is called by that of http.Client.
func (c *httpClient) CloseIdleConnections() { c.current.Load().CloseIdleConnections() }

// client returns an HTTP client that follows no redirects.
func (c *httpClient) client() *http.Client {
	return &http.Client{
		Transport:     c,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
