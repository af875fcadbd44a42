package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// public serves h as a node does, and returns the address.
func public(t *testing.T, h http.HandlerFunc, change func(*http.Server)) string {
	t.Helper()
	server := newHTTPServer(h, discard())
	change(server)
	test := httptest.NewUnstartedServer(h)
	test.Config = server
	test.Start()
	t.Cleanup(test.Close)
	return test.Listener.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestSlowHeaders has a client that sends a byte now and then: it is no client for long.
func TestSlowHeaders(t *testing.T) {
	address := public(t, func(http.ResponseWriter, *http.Request) { t.Error("half a request was served") }, func(s *http.Server) {
		if s.ReadHeaderTimeout <= 0 || s.IdleTimeout <= 0 {
			t.Errorf("headers may take %v, the next request %v", s.ReadHeaderTimeout, s.IdleTimeout)
		}
		s.ReadHeaderTimeout = 50 * time.Millisecond
	})
	conn := dial(t, address)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// Not a measure of time: without the server's own deadline this would never end.
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if answer, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(answer), "200") {
		t.Errorf("response %q, %v", answer, err)
	}
}

// TestHeaderBombs sends more headers than there can be any use for.
func TestHeaderBombs(t *testing.T) {
	address := public(t, func(http.ResponseWriter, *http.Request) { t.Error("a header bomb was served") }, func(*http.Server) {})
	for name, header := range map[string]string{
		"one large": "X-Large: " + strings.Repeat("x", 1<<20) + "\r\n",
		"many":      strings.Repeat("X-Many: x\r\n", 100_000),
	} {
		conn := dial(t, address)
		go func() { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+header+"\r\n") }()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	address = public(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }, func(*http.Server) {})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Usual", strings.Repeat("x", 16<<10))
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("usual headers: %v, %v", res, err)
	}
	_ = res.Body.Close()
}
