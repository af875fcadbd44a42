package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apiclient "firescan/api/client"
)

func TestErrorsOfTheAPI(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{400, `{"error":{"code":"INVALID_CREDENTIALS","message":"Failed","details":{"reason":"No such key"}}}`, "Failed: No such key (INVALID_CREDENTIALS)"},
		{401, `{"error":{"code":"UNAUTHORIZED","message":"Who?"}}`, "Who? (UNAUTHORIZED)"},
		{409, `{"error":{"code":"NEW","message":"Unknown to this client","details":{"fields":[1],"more":{}}}}`, "Unknown to this client (NEW)"},
		{500, `{"error":{}}`, "not from a firescan node"},
		{502, `<html>bad gateway</html>`, "502 Bad Gateway, not from a firescan node"},
		{200, `{"data":[`, "unexpected response"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer tok" || r.Header.Get("X-Organization-Id") != "acme" {
				t.Errorf("headers %v", r.Header)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		cl, err := newClient(server.URL, "tok", "acme", "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = apiclient.Decode(cl.api().ListTokens(t.Context(), nil))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("status %d: %v, want %q", c.status, err, c.want)
		}
		cl.http.CloseIdleConnections()
		server.Close()
	}
}

func TestErrorsAsJSON(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "req_1")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error":{"code":"NEW","message":"Not <now>","details":{"fields":[1],"more":{}}}}`)
	}))
	defer server.Close()
	env := map[string]string{"FIRESCAN_TOKEN": "t", "FIRESCAN_ORG": "o", "FIRESCAN_ADDR": server.URL}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"stats --json", exitFailed, `{"code":"NEW","message":"Not <now> (NEW)","requestId":"req_1","details":{"fields":[1],"more":{}}}`},
		{"stats --json --addr 127.0.0.1:1", exitFailed, `{"code":"COMMAND_FAILED","message":"cannot connect to http://127.0.0.1:1: `},
		{"stats --nonsense --json", exitUsage, `{"code":"USAGE_ERROR","message":"unknown flag: --nonsense; `},
		{"stats --nonsense -- --json", exitUsage, `firescan: unknown flag`},
	} {
		a, out, errs := testApp(env)
		if code := run(t.Context(), a, strings.Fields(c.args)); code != c.code || !strings.HasPrefix(errs.String(), c.want) ||
			strings.Count(errs.String(), "\n") != 1 || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %s%s, want %s", c.args, code, out, errs, c.want)
		}
	}
}

// Errors without a response name the next step, and distinguish a timeout from an interrupt.
func TestNoResponse(t *testing.T) {
	refused, err := newClient("127.0.0.1:1", "t", "o", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = refused.api().StorageStats(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "cannot connect to http://127.0.0.1:1: connection refused; start a node with `firescan serve`, or set FIRESCAN_ADDR") {
		t.Errorf("refused: %v", err)
	}

	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			return
		}
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	c, err := newClient(server.URL, "t", "o", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apiclient.Decode(c.api().Healthz(t.Context())); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("truncated response: %v", err)
	}
	for _, cause := range []error{context.Canceled, errTimeout} {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			<-asked
			cancel(cause)
		}()
		if _, err := c.api().StorageStats(ctx, nil); !errors.Is(err, cause) || !strings.Contains(err.Error(), "no response from "+server.URL) {
			t.Errorf("canceled call: %v, want %v", err, cause)
		}
	}
}

func TestAddresses(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "http://h:1/": "http://h:1", "https://h/fire": "https://h/fire",
		"ftp://h": "", "http://": "", "://": "",
	} {
		c, err := newClient(addr, "", "", "")
		switch {
		case want == "" && err == nil:
			t.Errorf("%q was accepted as an address", addr)
		case want != "" && (err != nil || c.base != want):
			t.Errorf("%q: %v, %v", addr, c, err)
		}
	}
}

func TestReadEvents(t *testing.T) {
	for name, c := range map[string]struct{ stream, want string }{
		"one":            {"event: a\ndata: 1\n\n", "a=1;"},
		"comments":       {": hello\n\nevent: a\ndata: 1\n\n: beat\n\n", "a=1;"},
		"two lines":      {"event: a\ndata: 1\ndata: 2\n\n", "a=1\n2;"},
		"carriage":       {"event: a\r\ndata: 1\r\n\r\n", "a=1;"},
		"no name":        {"data:1\n\n", "=1;"},
		"cut short":      {"event: a\ndata: 1\n\nevent: b\ndata: 2\n", "a=1;"},
		"other fields":   {"id: 7\nretry: 5\nevent: a\ndata: 1\n\n", "a=1;"},
		"nothing":        {"", ""},
		"name, no data":  {"event: a\n\n", ""},
		"names do reset": {"event: a\ndata: 1\n\ndata: 2\n\n", "a=1;=2;"},
	} {
		var got strings.Builder
		if err := readEvents(strings.NewReader(c.stream), func(name, data string) error {
			got.WriteString(name + "=" + data + ";")
			return nil
		}); err != nil || got.String() != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got.String(), err, c.want)
		}
	}
	stop := errors.New("enough")
	if err := readEvents(strings.NewReader("data: 1\n\n"), func(string, string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of the handler is lost: %v", err)
	}
}

func TestFailureNamesTheReason(t *testing.T) {
	f := apiclient.FileFailure{Message: "Refused", Details: map[string]any{"reason": "HTTP 403\nAccessDenied"}}
	if got := failureText(f); got != "Refused: "+oneLine("HTTP 403\nAccessDenied") {
		t.Errorf("got %q", got)
	}
}
