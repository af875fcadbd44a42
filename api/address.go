package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// addressHeader has the client's address in a request that another node forwarded.
const addressHeader = "X-Firescan-Client-Address"

// proxies are the addresses of balancers and proxies whose X-Forwarded-For is believed.
type proxies []netip.Prefix

func (p proxies) trust(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// client returns the address of the client of a request: of the connection, or the last one
// in X-Forwarded-For that is not a trusted proxy. What stands before that was written by the
// client, who may claim anything.
func (p proxies) client(r *http.Request) netip.Addr {
	if a, ok := r.Context().Value(memberKey{}).(netip.Addr); ok {
		return a
	}
	client := parseAddress(r.RemoteAddr)
	if len(p) == 0 {
		return client
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !p.trust(client) {
			break
		}
		before := parseAddress(strings.TrimSpace(hop))
		if !before.IsValid() {
			break
		}
		client = before
	}
	return client
}

// parseAddress parses an IP address with or without a port.
func parseAddress(text string) netip.Addr {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().Unmap().WithZone("")
	}
	a, _ := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap().WithZone("")
}

// limitKey returns what limits count as one address: an IPv4 address, or the /64 network
// that a host with IPv6 can choose its addresses from.
func limitKey(a netip.Addr) string {
	if a.Is6() {
		if network, err := a.Prefix(64); err == nil {
			return network.String()
		}
	}
	return a.String()
}

// key returns what limits count the client of a request by.
func (l *limits) key(r *http.Request) string { return limitKey(l.proxies.client(r)) }

type memberKey struct{}

// Forwarded returns the handler for requests that other nodes of the cluster forward. They
// name the client's address, and that node has counted the request.
func (s *Server) Forwarded() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := parseAddress(r.Header.Get(addressHeader))
		s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), memberKey{}, client)))
	})
}

// fromMember reports whether another node of the cluster forwarded the request.
func (c *call) fromMember() bool {
	_, ok := c.Request.Context().Value(memberKey{}).(netip.Addr)
	return ok
}

// fromLoopback reports whether the client is on the same machine, as far as the request
// shows: it names no proxy.
func (c *call) fromLoopback() bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if c.Request.Header.Get(name) != "" {
			return false
		}
	}
	return !c.fromMember() && parseAddress(c.Request.RemoteAddr).IsLoopback()
}

// address returns the address of the client.
func (c *call) address() netip.Addr { return c.backend.limits.proxies.client(c.Request) }
