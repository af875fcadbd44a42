package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firescan/keyspace"
	"firescan/provider"
	"firescan/provider/providertest"
	"firescan/provider/s3"
)

const secret = "wJalrXUtnFEMI-SECRET"

// answering is an account at a server with that handler.
func answering(t *testing.T, handler http.HandlerFunc) provider.Account {
	t.Helper()
	return answeringAs(t, s3.Compatible, handler)
}

func answeringAs(t *testing.T, flavor *s3.Flavor, handler http.HandlerFunc) provider.Account {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return dialAs(t, flavor, server.URL, "AKIDEXAMPLE", secret)
}

func page(truncated bool, keys ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>%t</IsTruncated>", truncated)
	if truncated {
		b.WriteString("<NextContinuationToken>token-" + url.QueryEscape(keys[len(keys)-1]) + "</NextContinuationToken>")
	}
	for _, key := range keys {
		fmt.Fprintf(&b, "<Contents><Key>%s</Key><Size>1</Size></Contents>", url.QueryEscape(key))
	}
	return b.String() + "</ListBucketResult>"
}

func errorDocument(code string) string {
	return `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>a message that quotes ` + secret + `</Message></Error>`
}

func TestFailuresByKind(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		header string
		want   provider.Kind
		reason string // a part of it
	}{
		{403, errorDocument("InvalidAccessKeyId"), "", provider.Credentials, "access key id"},
		{403, errorDocument("SignatureDoesNotMatch"), "", provider.Credentials, "secret access key"},
		{404, errorDocument("XAdminUserNotFound"), "", provider.Credentials, "access key id"},
		{400, errorDocument("ExpiredToken"), "", provider.Credentials, "expired"},
		{403, errorDocument("RequestTimeTooSkewed"), "", provider.Credentials, "clock"},
		{401, "", "", provider.Credentials, "401"},
		{403, errorDocument("AccessDenied"), "", provider.Denied, "s3:ListBucket"},
		{403, "", "", provider.Denied, ""},
		{403, errorDocument("SomethingNew"), "", provider.Denied, "403"},
		{404, errorDocument("NoSuchBucket"), "", provider.NoBucket, "does not exist"},
		{400, errorDocument("InvalidBucketName"), "", provider.Invalid, "bucket name"},
		{400, errorDocument("AuthorizationHeaderMalformed"), "", provider.Invalid, "region"},
		{301, errorDocument("PermanentRedirect"), "eu-central-1", provider.Invalid, "another region: eu-central-1"},
		{301, "", "", provider.Invalid, "redirects elsewhere"},
		{301, errorDocument("PermanentRedirect"), "", provider.Invalid, "another region"},
		{307, "", "", provider.Unavailable, "redirects elsewhere"},
		{307, errorDocument("TemporaryRedirect"), "x y<z>", provider.Unavailable, "region"},
		{503, errorDocument("SlowDown"), "", provider.Throttled, "slow down"},
		{503, "<html>busy</html>", "", provider.Throttled, "overloaded"},
		{429, "", "", provider.Throttled, "slow down"},
		{500, errorDocument("InternalError"), "", provider.Unavailable, "InternalError in ListObjectsV2"},
		{502, "<html>bad gateway</html>", "", provider.Unavailable, "502"},
		{504, "", "", provider.Unavailable, "504"},
		{200, errorDocument("SlowDown"), "", provider.Throttled, "slow down"},
		{200, errorDocument("InternalError"), "", provider.Unavailable, "InternalError in ListObjectsV2"},
		{200, errorDocument("SomethingNew"), "", provider.Corrupt, "not known"},
		{200, errorDocument("<x>"), "", provider.Corrupt, ""},
		{200, "", "", provider.Corrupt, "empty"},
		{200, "<html>login</html>", "", provider.Corrupt, "no list"},
		{204, "", "", provider.Corrupt, ""},
		{200, page(false, "b", "a", "a"), "", provider.Corrupt, "out of order"},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.want, " ", c.reason), func(t *testing.T) {
			a := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.header != "" {
					w.Header().Set("X-Amz-Bucket-Region", c.header)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			err := a.Bucket("bucket").List(t.Context(), provider.ListRequest{}, &provider.Page{})
			e, ok := errors.AsType[*provider.Error](err)
			if !ok || e.Kind != c.want || e.Op != "list" || e.Bucket != "bucket" || !strings.Contains(e.Explain(), c.reason) {
				t.Fatalf("error %v, want kind %v and %q in it", err, c.want, c.reason)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "AKIDEXAMPLE") || strings.ContainsAny(e.Explain(), "<>") {
				t.Errorf("the error says too much: %v", err)
			}
		})
	}
}

// TestFailuresByPlace: the error of a list has its status and code, the request and the last
// key before it.
func TestFailuresByPlace(t *testing.T) {
	for _, c := range []struct {
		status      int
		body, start string
		want        string
	}{
		{500, errorDocument("InternalError"), "prod/5\x00", `HTTP 500 InternalError in ListObjectsV2 after "prod/5"`},
		{502, "<html>bad gateway</html>", "", "HTTP 502 in ListObjectsV2"},
		{200, strings.Replace(page(false, "prod/6", "prod/7"), "prod%2F7", "prod/\x01", 1), "prod/5", `at byte 156 (in ListObjectsV2 after "prod/6")`},
		{200, page(false, "prod/7", "prod/6"), "prod/5", `(in ListObjectsV2 after "prod/7")`},
		{503, "", strings.Repeat("é", 100) + "\x00", `after "` + strings.Repeat("é", 60) + `…")`},
	} {
		a := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		err := a.Bucket("bucket").List(t.Context(), provider.ListRequest{Start: c.start}, &provider.Page{})
		if e, ok := errors.AsType[*provider.Error](err); !ok || !strings.HasSuffix(e.Explain(), c.want) {
			t.Errorf("status %d after %q: %v, want %s", c.status, c.start, err, c.want)
		}
	}
}

// TestProbeOfAReadOnlyServer: a server that does not know a method refuses it.
func TestProbeOfAReadOnlyServer(t *testing.T) {
	for _, status := range []int{http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		a := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				w.WriteHeader(status)
				return
			}
			fmt.Fprint(w, page(false))
		})
		got, err := provider.Probe(t.Context(), a.Bucket("bucket"), "")
		if want := (provider.Permissions{Read: true}); got != want || err != nil {
			t.Errorf("a server that responds to writes with %d: %+v, %v", status, got, err)
		}
	}
}

func TestBrokenConnections(t *testing.T) {
	providertest.Connections(t, page(false, "a", "b"), func(t *testing.T, endpoint string) provider.Account {
		t.Helper()
		return dial(t, endpoint, "id", secret)
	})
}

func TestForbiddenEndpoint(t *testing.T) {
	egress, err := provider.NewEgress(provider.EgressConfig{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s3.New(s3.Config{Endpoint: "http://127.0.0.1:9", AccessKeyID: "id", SecretAccessKey: secret, HTTPClient: egress.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Buckets(t.Context()); provider.KindOf(err) != provider.Forbidden {
		t.Errorf("endpoint that is not allowed: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ endpoint, reason string }{
		{server.URL, "TLS certificate is not trusted"},
		{"http://" + server.Listener.Addr().String(), "HTTP 400"},
		{"https://nowhere.invalid:" + port, "cannot be resolved"},
	} {
		_, err := dial(t, c.endpoint, "id", secret).Buckets(t.Context())
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || !strings.Contains(e.Explain(), c.reason) {
			t.Errorf("%s: error %v, want %q in it", c.endpoint, err, c.reason)
		}
	}
}

func TestEndlessAnswer(t *testing.T) {
	a := answering(t, func(w http.ResponseWriter, r *http.Request) {
		blanks := strings.Repeat(" ", 1<<20)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, blanks); err != nil {
				return
			}
		}
	})
	err := a.Bucket("bucket").List(t.Context(), provider.ListRequest{}, &provider.Page{})
	if provider.KindOf(err) != provider.Corrupt || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error %v", err)
	}
}

func TestCancelledInTheMiddle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := answering(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<ListBucketResult>")
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	err := a.Bucket("bucket").List(ctx, provider.ListRequest{}, &provider.Page{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestRequests holds what is asked of the server.
func TestRequests(t *testing.T) {
	for _, c := range []struct {
		req  provider.ListRequest
		want map[string]string
	}{
		{provider.ListRequest{}, map[string]string{}},
		{provider.ListRequest{Prefix: "a b/"}, map[string]string{"prefix": "a b/"}},
		{provider.ListRequest{Prefix: "a/", Start: "a/"}, map[string]string{"prefix": "a/"}},
		{provider.ListRequest{Start: keyspace.After("k+%&é")}, map[string]string{"start-after": "k+%&é"}},
		{provider.ListRequest{Start: "k"}, map[string]string{"start-after": "j~"}},
		{provider.ListRequest{Delimiter: "/", MaxKeys: 7}, map[string]string{"delimiter": "/", "max-keys": "7"}},
		{provider.ListRequest{MaxKeys: 70_000}, map[string]string{"max-keys": "1000"}},
	} {
		var got url.Values
		a := answeringAs(t, s3.Amazon, func(w http.ResponseWriter, r *http.Request) {
			got = r.URL.Query()
			if !strings.Contains(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") ||
				strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.URL.Path != "/bucket" && r.URL.Path != "/bucket/" {
				t.Errorf("path %q, headers %v", r.URL.Path, r.Header)
			}
			fmt.Fprint(w, page(false))
		})
		if err := a.Bucket("bucket").List(t.Context(), c.req, &provider.Page{}); err != nil {
			t.Fatal(err)
		}
		c.want["list-type"], c.want["encoding-type"] = "2", "url"
		for name := range got {
			if name != "x-id" && got.Get(name) != c.want[name] {
				t.Errorf("%+v: %s is %q, want %q", c.req, name, got.Get(name), c.want[name])
			}
		}
		for name := range c.want {
			if !got.Has(name) {
				t.Errorf("%+v: %s is not asked for", c.req, name)
			}
		}
	}
}

func TestEmptyRangeAsksNothing(t *testing.T) {
	a := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	for _, req := range []provider.ListRequest{{Start: "b", End: "a"}, {Start: "a", End: "a"}, {Prefix: "a/", Start: "a0"}, {Prefix: "b", End: "a"}} {
		p := provider.Page{More: true}
		if err := a.Bucket("bucket").List(t.Context(), req, &p); err != nil || p.More || len(p.Objects) > 0 {
			t.Errorf("%+v: %v, %+v", req, err, p)
		}
	}
}

// TestPagesBeforeTheStart checks that when a made-up start-after lets in more than a page
// of keys that lie before the start, the list goes through them by token.
func TestPagesBeforeTheStart(t *testing.T) {
	var asked []string
	a := answering(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, q.Get("start-after")+"|"+q.Get("continuation-token"))
		switch q.Get("continuation-token") {
		case "":
			fmt.Fprint(w, page(true, "a~x", "a~y"))
		case "token-a~y":
			fmt.Fprint(w, page(true, "a\U0010fffd"))
		default:
			fmt.Fprint(w, page(true, "b", "c"))
		}
	})
	var p provider.Page
	if err := a.Bucket("bucket").List(t.Context(), provider.ListRequest{Start: "b"}, &p); err != nil {
		t.Fatal(err)
	}
	want := []string{"a~|", "|token-a~y", "|token-a%F4%8F%BF%BD"}
	if !slices.Equal(asked, want) || len(p.Objects) != 2 || p.Next != keyspace.After("c") || !p.More {
		t.Errorf("page %+v after %q", p, asked)
	}
}

func TestRepeatedToken(t *testing.T) {
	var calls atomic.Int64
	a := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		fmt.Fprint(w, page(true, "a~x"))
	})
	err := a.Bucket("bucket").List(t.Context(), provider.ListRequest{Start: "b"}, &provider.Page{})
	if provider.KindOf(err) != provider.Corrupt || calls.Load() != 2 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}

func TestPageOfPlaceholders(t *testing.T) {
	a := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.ReplaceAll(page(true, "a/", "b/"), "<Size>1", "<Size>0"))
	})
	var p provider.Page
	if err := a.Bucket("bucket").List(t.Context(), provider.ListRequest{}, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Objects) != 0 || p.Skipped != 2 || !p.More || p.Next != keyspace.After("b/") {
		t.Errorf("page %+v", p)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, page(false))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	egress, err := provider.NewEgress(provider.EgressConfig{Allow: []string{server.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(egress.Close)
	a, err := s3.New(s3.Config{Endpoint: server.URL, AccessKeyID: "id", SecretAccessKey: secret, PathStyle: true, HTTPClient: egress.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := a.Bucket("bucket").List(t.Context(), provider.ListRequest{}, &provider.Page{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 20 calls, one after the other", n)
	}
}

func TestTimeout(t *testing.T) {
	stop := make(chan struct{})
	a := answering(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-stop:
		}
	})
	defer close(stop)
	b := provider.Retry(a.Bucket("bucket"), provider.RetryOptions{Attempts: 2, Base: time.Millisecond, Timeout: 20 * time.Millisecond})
	err := b.List(t.Context(), provider.ListRequest{}, &provider.Page{})
	if provider.KindOf(err) != provider.Unavailable || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestConfig(t *testing.T) {
	if _, err := s3.New(s3.Config{AccessKeyID: "a", SecretAccessKey: "b"}); err == nil {
		t.Error("no HTTP client, no error")
	}
	if _, err := s3.New(s3.Config{HTTPClient: http.DefaultClient}); provider.KindOf(err) != provider.Credentials {
		t.Errorf("no credentials: %v", err)
	}
}
