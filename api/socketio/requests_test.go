package socketio

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// upgradeHeader asks for a websocket.
var upgradeHeader = []string{
	"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
}

// TestBadRequests checks the errors of Engine.IO; none opens a session.
func TestBadRequests(t *testing.T) {
	r := newRig(t, Config{})
	plain := []string{}
	evil := append([]string{"Origin", "https://evil.example"}, upgradeHeader...)
	for _, tc := range []struct {
		method, query string
		header        []string
		status, code  int
	}{
		{"GET", "/socket.io/", plain, 400, codeVersion},
		{"GET", "/socket.io/?EIO=3&transport=polling", plain, 400, codeVersion},
		{"GET", "/socket.io/?EIO=4", plain, 400, codeTransport},
		{"GET", query + "webtransport", plain, 400, codeTransport},
		{"GET", query + "%00", plain, 400, codeTransport},
		{"GET", query + "websocket", plain, 400, codeBadRequest},
		{"GET", query + "polling", upgradeHeader, 400, codeBadRequest},
		{"POST", query + "polling", plain, 400, codeMethod},
		{"DELETE", query + "polling", plain, 400, codeMethod},
		{"OPTIONS", query + "polling", plain, 400, codeMethod},
		{"GET", query + "polling&sid=unknown", plain, 400, codeUnknownSID},
		{"POST", query + "polling&sid=unknown", plain, 400, codeUnknownSID},
		{"GET", query + "websocket&sid=unknown", upgradeHeader, 400, codeUnknownSID},
		{"POST", query + "websocket", upgradeHeader, 400, codeBadRequest},
		{"GET", query + "websocket", upgradeHeader[:4], 400, codeForbidden},
		{"GET", query + "websocket", evil, 403, codeForbidden},
	} {
		status, body := r.do(tc.method, tc.query, "", tc.header...)
		var reply struct {
			Code    int
			Message string
		}
		if err := json.Unmarshal([]byte(body), &reply); err != nil || status != tc.status || reply.Code != tc.code || reply.Message == "" {
			t.Errorf("%s %s %v: %d %s, want %d and code %d", tc.method, tc.query, tc.header, status, body, tc.status, tc.code)
		}
	}
	eventually(t, "no session is left", func() bool { return r.sessions() == 0 })
}

// TestPollingRequests checks the requests of a polling session.
func TestPollingRequests(t *testing.T) {
	r := newRig(t, Config{})
	p := r.poll()
	c := connect(t, r, p)
	if status, body := r.do("PUT", query+"polling&sid="+p.sid, ""); status != http.StatusBadRequest {
		t.Errorf("PUT: %d %s", status, body)
	}
	// Several packets in one body.
	if status, body := r.do("POST", query+"polling&sid="+p.sid, "421[\"a\"]\x1e3\x1e422[\"b\"]"); status != http.StatusOK || body != "ok" {
		t.Errorf("two packets: %d %s", status, body)
	}
	for _, want := range []string{`431[{"args":[],"event":"a"}]`, `432[{"args":[],"event":"b"}]`} {
		if got := p.receive(); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	waiting, _ := newPoll(t, r, p)
	r.waitForPoll(p.sid)
	if status, body := r.do("GET", query+"polling&sid="+p.sid, ""); status != http.StatusBadRequest {
		t.Errorf("a second poll at the same time: %d %s", status, body)
	}
	if got := within(t, waiting, "the end of the poll"); got != "1" {
		t.Errorf("the first poll returned %q", got)
	}
	c.ends(t)

	p = r.poll()
	c = connect(t, r, p)
	if status, body := r.do("POST", query+"polling&sid="+p.sid, "4\x01", "Content-Type", "application/octet-stream"); status != http.StatusBadRequest {
		t.Errorf("a binary body: %d %s", status, body)
	}
	c.ends(t)
}

// TestNoCORS checks that pages of other hosts cannot read responses.
func TestNoCORS(t *testing.T) {
	r := newRig(t, Config{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.http.URL+query+"polling", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://evil.example")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for name := range res.Header {
		if name == "Access-Control-Allow-Origin" {
			t.Error("every page may read the response")
		}
	}
	if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", res.Header)
	}
}

// TestIncompleteBodies checks that the wait for a body is limited, whether a handler
// reads it or not.
func TestIncompleteBodies(t *testing.T) {
	r := newRig(t, Config{ReadTimeout: time.Second, PingInterval: time.Second, PingTimeout: long, ConnectTimeout: long})
	p := r.poll()
	c := connect(t, r, p)
	var requests sync.WaitGroup
	for _, line := range []string{
		"GET /socket.io/", "GET " + query + "polling", "GET " + query + "polling&sid=unknown", "GET " + query + "polling&sid=" + p.sid,
		"PUT " + query + "polling&sid=" + p.sid, "POST " + query + "polling", "POST " + query + "polling&sid=" + p.sid,
	} {
		requests.Go(func() {
			conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(long))
			if _, err := io.WriteString(conn, line+" HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"); err != nil {
				t.Error(err)
			}
			_, err = io.ReadAll(conn)
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				t.Errorf("%s: the server still waits for the body", line)
			}
		})
	}
	requests.Wait()
	c.ends(t)
}
