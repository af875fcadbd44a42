package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// parseProxy reads the URL of a proxy; empty is none. Its errors do not quote the URL, which
// may have a password.
func parseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // none is no error
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it is not the URL of an HTTP proxy: want http://host:port or https://host:port")
	}
	return u, nil
}

// proxyAddress returns the host:port of a proxy.
func proxyAddress(u *url.URL) string { return net.JoinHostPort(u.Hostname(), portOf(u)) }

// portOf returns the port of a URL, or the usual one of its scheme.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// proxied returns the proxy for a request, if there is one and the rules allow what it is
// asked for. All connections go through it, also those to this machine.
func (e *Egress) proxied(r *http.Request) (*url.URL, error) {
	if e.proxy == nil {
		return nil, nil //nolint:nilnil // none is no error
	}
	// A proxy for plain HTTP goes by the header.
	if r.Host != "" && r.Host != r.URL.Host {
		return nil, forbidden(r.Host, "it is not the host of the request")
	}
	host := strings.TrimSuffix(strings.ToLower(r.URL.Hostname()), ".")
	return e.proxy, e.checkProxied(host, portOf(r.URL))
}

// checkProxied reports whether the proxy may be asked for host. The proxy resolves names, and
// an address that was looked up here could be another one there. So a name must be allowed
// itself: neither a network nor a '*' shows where it leads.
func (e *Egress) checkProxied(host, port string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return e.checkAddress(host, port, addr)
	}
	if publicHost(host, port) || e.namedWhole(host, port) {
		return nil
	}
	return forbidden(net.JoinHostPort(host, port), "with --egress-proxy, --allow-endpoint must have its name without *")
}

// proxyResponse returns the error of a proxy that does not connect.
func proxyResponse(_ context.Context, _ *url.URL, request *http.Request, response *http.Response) error {
	if response.StatusCode == http.StatusOK {
		return nil
	}
	reason := fmt.Sprintf("the proxy (--egress-proxy) does not connect to %s: HTTP %d", request.Host, response.StatusCode)
	if response.StatusCode == http.StatusProxyAuthRequired {
		reason += "; its user and password belong into its URL"
	}
	return &Error{Kind: Unavailable, Op: "connect", Reason: reason, NoEffect: true}
}
