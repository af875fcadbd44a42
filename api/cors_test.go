package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"firescan/catalog"
	"firescan/provider/mem"
)

// TestOrigins makes requests from pages of several origins: REST, streams and websockets.
func TestOrigins(t *testing.T) {
	r := newRig(t, mem.Options{})
	const own, other = "https://console.example.com", "https://evil.example.net"
	get := func(origin, method, path string, header ...string) *http.Response {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel() // streams have no end
		req, err := http.NewRequestWithContext(ctx, method, r.http.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Authorization", "Bearer "+r.tokens[catalog.RoleViewer])
		req.Header.Set("X-Organization-Id", "org1")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	dial := func(origin string) bool {
		url := "ws" + strings.TrimPrefix(r.http.URL, "http") + socketPath + "?EIO=4&transport=websocket"
		conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), url, http.Header{"Origin": {origin}})
		if err == nil {
			_ = conn.Close()
		} else if res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("a websocket from %s: %v", origin, err)
		}
		return err == nil
	}
	const allowed = "Access-Control-Allow-Origin"
	for _, c := range []struct {
		origins   []string
		own, evil string // what the responses allow
	}{
		{nil, "", ""},
		{[]string{own}, own, ""},
		{[]string{"http://localhost:*", "https://*.example.com"}, own, ""},
		{[]string{"*"}, "*", "*"},
	} {
		var err error
		if r.server.cors, err = allowOrigins(c.origins); err != nil {
			t.Fatal(err)
		}
		for origin, want := range map[string]string{own: c.own, other: c.evil} {
			for _, path := range []string{"/api/v1/storage/stats", "/api/v1/storage/events", socketPath + "?EIO=4&transport=polling", "/nowhere"} {
				res := get(origin, "GET", path)
				if got := res.Header.Values(allowed); strings.Join(got, " ") != want || res.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%v: %s from %s: %q", c.origins, path, origin, res.Header)
				}
				if exposed := res.Header.Get("Access-Control-Expose-Headers"); strings.Contains(exposed, "Retry-After") != (want != "") {
					t.Errorf("%v: %s from %s exposes %q", c.origins, path, origin, exposed)
				}
			}
			res := get(origin, "OPTIONS", "/api/v1/storage/sync", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-organization-id")
			if got := res.Header.Get(allowed); got != want || res.StatusCode != http.StatusNoContent {
				t.Errorf("%v: a preflight from %s: %d %q", c.origins, origin, res.StatusCode, res.Header)
			}
			if names := res.Header.Get("Access-Control-Allow-Headers"); want != "" && !strings.Contains(names, "authorization") {
				t.Errorf("a preflight allows the headers %q", names)
			}
			if dial(origin) != (want != "") {
				t.Errorf("%v: a websocket from %s", c.origins, origin)
			}
		}
		if !dial(r.http.URL) {
			t.Errorf("%v: no websocket from a page of the same host", c.origins)
		}
	}
	for _, wrong := range []string{"", "console.example.com", "https://a/", "https://*.*.com", "ftp://a", "https://u@a", "https://a?b", "null"} {
		if CheckOrigins([]string{wrong}) == nil {
			t.Errorf("the origin %q was taken", wrong)
		}
	}
}
