package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"firescan/api/socketio"
	"firescan/catalog"
	"firescan/cluster/transport"
	"firescan/provider/mem"
)

// limit sets the limits of the server, before its first request.
func (r *rig) limit(l Limits) {
	r.t.Helper()
	made, err := newLimits(l, r.server.backend.metrics, r.server.backend.now)
	if err != nil {
		r.t.Fatal(err)
	}
	*r.server.backend.limits = *made
}

// limited checks a refusal above a quota.
func (a *response) limited(q quota) {
	a.t.Helper()
	a.refused(http.StatusTooManyRequests, CodeRateLimited)
	if after := a.header.Get("Retry-After"); after == "" || after == "0" || a.at("error", "details", "quota") != string(q) {
		a.t.Errorf("Retry-After %q: %s, want the quota %s", after, a.raw, q)
	}
}

// TestRequestRates: a token and an organization that make too many requests wait; others do
// not notice.
func TestRequestRates(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{TokenRequests: 3, OrgRequests: 5})
	get := func(role catalog.Role) *response { return r.do(role, "GET", destinationsPath, "") }
	for range 3 {
		if a := get(catalog.RoleViewer); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.raw)
		}
	}
	get(catalog.RoleViewer).limited(quotaTokenRequests)
	for range 2 {
		if a := get(catalog.RoleMember); a.status != http.StatusOK {
			t.Fatalf("another token: %d %s", a.status, a.raw)
		}
	}
	get(catalog.RoleMember).limited(quotaOrgRequests)
	r.otherOrg()
	if a := r.do("other", "GET", destinationsPath, "", "X-Organization-Id", "org2"); a.status != http.StatusOK {
		t.Errorf("another organization: %d %s", a.status, a.raw)
	}
	r.now = r.now.Add(time.Second)
	if a := get(catalog.RoleViewer); a.status != http.StatusOK {
		t.Errorf("a second later: %d %s", a.status, a.raw)
	}
	r.metric(`firescan_limited_total{quota="token-requests"} 1`)
	r.metric(`firescan_limited_total{quota="organization-requests"} 1`)
	r.metric(`firescan_limited_total{quota="streams"} 0`)
}

// TestFailedLogins: an address that sends many unknown tokens has to wait. Valid tokens
// from the same address are served.
func TestFailedLogins(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{FailedLogins: 2})
	guess := func(header ...string) *response {
		return r.do(catalog.RoleViewer, "GET", destinationsPath, "", append(header, "Authorization", "Bearer "+catalog.NewToken())...)
	}
	for range 2 {
		guess().refused(http.StatusUnauthorized, CodeUnauthorized)
	}
	// X-Forwarded-For of strangers changes nothing.
	guess("X-Forwarded-For", "203.0.113.7", addressHeader, "203.0.113.7").limited(quotaFailedLogins)
	if a := r.do(catalog.RoleViewer, "GET", destinationsPath, ""); a.status != http.StatusOK {
		t.Errorf("a valid token: %d %s", a.status, a.raw)
	}
	if _, err := (sockets{r.server.backend, r.server.hub}).Connect(socketio.Opening{Address: "127.0.0.1/32"}, []byte(`{"token":"x"}`)); err == nil {
		t.Error("a Socket.IO client connected with an unknown token")
	}
	r.metric(`firescan_limited_total{quota="failed-logins"} 2`)
	r.now = r.now.Add(time.Minute)
	guess().refused(http.StatusUnauthorized, CodeUnauthorized)
}

// barriers counts barriers.
type barriers struct {
	Consensus
	count int
}

func (b *barriers) Barrier(ctx context.Context) error {
	b.count++
	return b.Consensus.Barrier(ctx)
}

// TestUnknownTokensAreCheap: above the limit a token that this node does not know costs no
// barrier, so no more than a valid one.
func TestUnknownTokensAreCheap(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{FailedLogins: 3})
	counted := &barriers{Consensus: r.node}
	r.server.backend.consensus = counted
	for range 100 {
		if _, err := r.server.backend.identify(t.Context(), "192.0.2.1", catalog.NewToken()); err == nil {
			t.Fatal("an unknown token was accepted")
		}
	}
	if counted.count != 3 {
		t.Errorf("%d barriers for 100 unknown tokens, want 3", counted.count)
	}
}

// TestStreamLimits: streams of a token, an organization and a node are limited, and those
// that end make room.
func TestStreamLimits(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{TokenStreams: 1, OrgStreams: 2, Streams: 3})
	const events = "/api/v1/storage/events"
	lines, stop := r.listenTo(catalog.RoleViewer)
	expect(t, lines, ": connected")
	r.do(catalog.RoleViewer, "GET", events, "").limited(quotaTokenStreams)
	second := listenTo(t, r.server.hub)
	r.do(catalog.RoleMember, "GET", events, "").limited(quotaOrgStreams)
	third, err := r.server.hub.listen("org2", "tok_2", asSocketIO)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.server.hub.listen("org3", "tok_3", asSSE); toError(t.Context(), err).Code != CodeRateLimited {
		t.Errorf("a fourth stream: %v", err)
	}
	stop()
	for range lines { // ends
	}
	r.metric(`firescan_event_clients{protocol="sse"} 1`)
	lines, stop = r.listenTo(catalog.RoleViewer)
	expect(t, lines, ": connected")
	stop()
	for range lines { // ends
	}
	r.metric(`firescan_event_clients{protocol="sse"} 1`)
	r.server.hub.leave(second, false)
	r.server.hub.leave(second, false)
	r.server.hub.leave(third, true)
	if h := r.server.hub; h.total != 0 || len(h.byToken) != 0 || len(h.clients) != 0 {
		t.Errorf("%d clients of %d tokens are left", h.total, len(h.byToken))
	}
}

// TestSocketIOStreamLimit: a client above the limit gets the code in connect_error.
func TestSocketIOStreamLimit(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{TokenStreams: 1})
	app := sockets{r.server.backend, r.server.hub}
	auth := []byte(`{"token":"` + r.tokens[catalog.RoleViewer] + `","organizationId":"` + org + `"}`)
	first, err := app.Connect(socketio.Opening{Address: "a"}, auth)
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.Connect(socketio.Opening{Address: "a"}, auth)
	if refused, ok := errors.AsType[*socketio.Refusal](err); !ok || refused.Data.(refusalData).Code != CodeRateLimited {
		t.Errorf("a second client: %v", err)
	}
	first.Close(false)
}

func TestClientAddress(t *testing.T) {
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		proxies        proxies
		remote, header string
		want           string
	}{
		{nil, "192.0.2.1:80", "203.0.113.1", "192.0.2.1"},
		{trusted, "192.0.2.1:80", "203.0.113.1", "192.0.2.1"},
		{trusted, "10.1.1.1:80", "", "10.1.1.1"},
		{trusted, "10.1.1.1:80", "203.0.113.1", "203.0.113.1"},
		{trusted, "10.1.1.1:80", "198.51.100.1, 203.0.113.1, 10.2.2.2", "203.0.113.1"},
		{trusted, "10.1.1.1:80", "198.51.100.1, forged, 10.2.2.2", "10.2.2.2"},
		{trusted, "10.1.1.1:80", "10.3.3.3,10.2.2.2", "10.3.3.3"},
		{trusted, "10.1.1.1:80", "203.0.113.1:4711", "203.0.113.1"},
		{trusted, "[fd00::1]:80", "[2001:db8::7]:1", "2001:db8::7"},
		{trusted, "[::ffff:10.1.1.1]:80", "::ffff:203.0.113.1", "203.0.113.1"},
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.RemoteAddr = c.remote
		if c.header != "" {
			request.Header.Set("X-Forwarded-For", c.header)
		}
		if got := c.proxies.client(request); got.String() != c.want {
			t.Errorf("%s with X-Forwarded-For %q: %s, want %s", c.remote, c.header, got, c.want)
		}
	}
	if a, b := transport.HostOf(netip.MustParseAddr("2001:db8::1")), transport.HostOf(netip.MustParseAddr("2001:db8::ffff:1")); a != b {
		t.Errorf("addresses of one network count as %s and %s", a, b)
	}
}

// TestForwardedRequests: the node that forwards a request counts it and names the client.
func TestForwardedRequests(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{TokenRequests: 1})
	for range 3 {
		request := httptest.NewRequest(http.MethodGet, destinationsPath, nil)
		request.Header.Set("Authorization", "Bearer "+r.tokens[catalog.RoleViewer])
		request.Header.Set("X-Organization-Id", org)
		request.Header.Set(addressHeader, "203.0.113.7")
		w := httptest.NewRecorder()
		r.server.Forwarded().ServeHTTP(w, request)
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// TestLimitersAreBounded: addresses without end take no memory without end.
func TestLimitersAreBounded(t *testing.T) {
	r := newRig(t, mem.Options{})
	r.limit(Limits{FailedLogins: 1})
	l := r.server.backend.limits
	for n := range 2 * maxLimiters {
		_ = l.failedLogin(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}).String())
	}
	if n := l.logins.byKey.Len(); n != maxLimiters {
		t.Errorf("%d addresses are remembered, want %d", n, maxLimiters)
	}
}
