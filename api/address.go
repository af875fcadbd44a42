package api

import (
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

type memberKey struct{}
