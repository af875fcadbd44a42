package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Egress is the rules of where firescan connects to on behalf of its users, who may
// name endpoints and must not reach into the network that firescan runs in through
// them.
//
// The public hosts of the providers are allowed, over TLS. Everything else must be
// allowed explicitly. Link-local addresses and those at which clouds serve metadata and
// credentials are refused always. The rules are applied to the address itself at the
// moment of connecting, so neither a name that resolves elsewhere later nor a redirect
// gets around them. Proxies from the environment are not used, since they would; for
// EgressConfig.Proxy, see proxied.
type Egress struct {
	globs    []glob
	networks []netip.Prefix
	proxy    *url.URL // nil for none
	client   *http.Client
	resolver *net.Resolver // nil is the machine's own
}

// EgressConfig is the configuration of an Egress. The zero value allows the providers'
// public hosts.
type EgressConfig struct {
	// Allow is what else is allowed: globs of host:port, where '*' stands for any run of
	// characters (minio.example.com:9000, *.example.com:443, 127.0.0.1:*), and networks in
	// CIDR form (10.20.0.0/16), whose addresses are allowed at any port. A private address
	// must be matched itself, or have a name without '*'.
	Allow []string
	// Proxy is the URL of an HTTP proxy that everything goes through; empty for none.
	Proxy string
	// CAs verify the certificates of providers and of the proxy; nil are those of the system.
	CAs *x509.CertPool
}

// A glob matches hosts and ports.
type glob struct{ host, port string }

const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	headerTimeout = 60 * time.Second // a list with a delimiter may take tens of seconds
	idleTimeout   = 90 * time.Second
	idlePerHost   = 256 // the maximum number of streams of a node to one host
	readBuffer    = 64 << 10
)

// NewEgress makes the rules of a configuration.
func NewEgress(c EgressConfig) (*Egress, error) {
	e := &Egress{}
	for _, pattern := range c.Allow {
		pattern = strings.ToLower(strings.TrimSpace(pattern))
		if network, err := netip.ParsePrefix(pattern); err == nil {
			e.networks = append(e.networks, network.Masked())
			continue
		}
		host, port, err := net.SplitHostPort(pattern)
		if err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("allowed endpoint %q: want host:port (host:* for any port) or a network such as 10.0.0.0/8", pattern)
		}
		e.globs = append(e.globs, glob{host, port})
	}
	var err error
	if e.proxy, err = parseProxy(c.Proxy); err != nil {
		return nil, err
	}
	e.client = &http.Client{
		Transport: newBounded(direct{&http.Transport{
			DialContext:            e.DialContext,
			TLSHandshakeTimeout:    tlsTimeout,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.CAs},
			Proxy:                  e.proxied,
			OnProxyConnectResponse: proxyResponse,
			ResponseHeaderTimeout:  headerTimeout,
			ExpectContinueTimeout:  time.Second,
			IdleConnTimeout:        idleTimeout,
			MaxIdleConnsPerHost:    idlePerHost,
			ReadBufferSize:         readBuffer,
			MaxResponseHeaderBytes: maxHeader,
			// Pages compress well, but inflating them costs more than reading them.
			DisableCompression: true,
			// One connection a stream: over HTTP/2 all streams would share one.
			Protocols: http1(),
		}}, usualPace()),
	}
	return e, nil
}

func http1() *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	return p
}

// direct hands on a redirect without its address, so that no client above it goes there
// with what it authenticates itself by, whatever the client's own settings are.
type direct struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.Transport.RoundTrip(r)
	if err == nil && response.StatusCode/100 == 3 {
		response.Header.Del("Location")
	}
	return response, err
}

// HTTPClient is the client that connects by these rules. All callers share it. It does
// not follow redirects, and its responses are bounded: see WithResponseLimit.
func (e *Egress) HTTPClient() *http.Client { return e.client }

// Transport is what HTTPClient sends with, for clients that put something around it. No
// client follows a redirect over it.
func (e *Egress) Transport() http.RoundTripper { return e.client.Transport }

// Close closes the connections that are not in use.
func (e *Egress) Close() { e.client.CloseIdleConnections() }

// Check reports whether an endpoint URL that a user configures may be used: an error of
// kind Forbidden says why not, of kind Invalid that it is no endpoint. A name that only
// an allowed network could cover passes here and is checked when it is connected to.
func (e *Egress) Check(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return &Error{Kind: Invalid, Op: "endpoint", Reason: "an endpoint is a URL such as https://host:port"}
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return &Error{Kind: Invalid, Op: "endpoint", Reason: "an endpoint has neither user, query nor fragment"}
	}
	port := portOf(u)
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if e.proxy != nil {
		return e.checkProxied(host, port)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return e.checkAddress(host, port, addr)
	}
	if e.named(host, port) || publicHost(host, port) || len(e.networks) > 0 {
		return nil
	}
	return forbidden(net.JoinHostPort(host, port), "it is not among the allowed endpoints (--allow-endpoint)")
}

// DialContext connects to address (host:port) if the rules allow the address that the
// host resolves to. With a proxy, it connects to that alone.
func (e *Egress) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &Error{Kind: Invalid, Op: "connect", Reason: "the endpoint's address is not valid", Err: err}
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	dialer := net.Dialer{Timeout: dialTimeout, Resolver: e.resolver}
	if e.proxy != nil {
		if address != proxyAddress(e.proxy) {
			return nil, forbidden(address, "it is not the proxy (--egress-proxy)")
		}
		return dialer.DialContext(ctx, network, address)
	}
	// It is called with each address that is about to be connected to.
	dialer.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return forbidden(address, "its address is not understood")
		}
		return e.checkAddress(host, port, at.Addr())
	}
	return dialer.DialContext(ctx, network, address)
}

// checkAddress reports whether host, which stands for or resolves to addr, may be
// connected to.
func (e *Egress) checkAddress(host, port string, addr netip.Addr) error {
	at := net.JoinHostPort(host, port)
	addr = addr.WithZone("").Unmap()
	switch {
	case leadsInside(addr):
		return forbidden(at, "its address leads to a network inside")
	case never(addr):
		return forbidden(at, "link-local and metadata addresses are never allowed")
	case e.covered(addr) || e.named(addr.String(), port) || e.namedWhole(host, port):
		return nil
	case inside(addr):
		return forbidden(at, "private addresses must be allowed explicitly (--allow-endpoint), by address or by a name without *")
	case e.named(host, port) || publicHost(host, port):
		return nil
	}
	return forbidden(at, "it is not among the allowed endpoints (--allow-endpoint)")
}

func forbidden(at, why string) error {
	return &Error{Kind: Forbidden, Op: "connect", Reason: "endpoint " + at + " is refused: " + why}
}

// named reports whether a pattern matches.
func (e *Egress) named(host, port string) bool {
	return slices.ContainsFunc(e.globs, func(g glob) bool { return match(g.host, host) && match(g.port, port) })
}

// namedWhole reports whether a pattern without '*' in its host matches.
func (e *Egress) namedWhole(host, port string) bool {
	return slices.ContainsFunc(e.globs, func(g glob) bool { return g.host == host && !strings.Contains(host, "*") && match(g.port, port) })
}

func (e *Egress) covered(addr netip.Addr) bool {
	for _, network := range e.networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// match reports whether s is of the pattern, in which '*' is any run of characters.
func match(pattern, s string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for i := 0; i <= len(s); i++ {
		if match(rest, s[i:]) {
			return true
		}
	}
	return false
}
