package provider_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"firescan/provider"
	"firescan/provider/providertest/connectproxy"
)

// proxied returns the rules of an allow list with a proxy.
func proxied(t *testing.T, c provider.EgressConfig) *provider.Egress {
	t.Helper()
	e, err := provider.NewEgress(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// TestEgressProxyRules: what the proxy may be asked for, at the check of an endpoint and at
// each request.
func TestEgressProxyRules(t *testing.T) {
	p := connectproxy.Start(t, "")
	for _, c := range []struct {
		allow []string
		url   string
		ok    bool
	}{
		{nil, "https://s3.eu-west-1.amazonaws.com", true},
		{nil, "https://bucket.s3.eu-west-1.amazonaws.com", true},
		{nil, "https://oauth2.googleapis.com", true},
		{nil, "http://s3.eu-west-1.amazonaws.com", false},
		{nil, "https://other.example.com", false},
		{[]string{"minio.example.com:9000"}, "http://minio.example.com:9000", true},
		{[]string{"minio.example.com:*"}, "https://MinIO.example.com.:9000", true},
		{[]string{"minio.example.com:9000"}, "http://minio.example.com:9001", false},
		// Where these names lead, only the proxy knows.
		{[]string{"*.example.com:9000", "*:*"}, "http://minio.example.com:9000", false},
		{[]string{"0.0.0.0/0", "::/0"}, "http://minio.example.com:9000", false},
		{[]string{"127.0.0.0/8"}, "http://localhost:9000", false},
		{[]string{"*:*"}, "http://metadata.google.internal", false},
		{[]string{"*:*"}, "http://2852039166", false},
		// Addresses have the same rules as without a proxy.
		{[]string{"10.0.0.0/8"}, "http://10.0.0.1:9000", true},
		{[]string{"10.0.0.*:9000"}, "http://10.0.0.1:9000", true},
		{nil, "http://10.0.0.1:9000", false},
		{nil, "http://127.0.0.1:9000", false},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://169.254.169.254", false},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://[fd20:ce::254]", false},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://[::ffff:169.254.169.254]", false},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://[64:ff9b::a9fe:a9fe]", false},
	} {
		e := proxied(t, provider.EgressConfig{Allow: c.allow, Proxy: p.URL})
		if err := e.Check(c.url); (err == nil) != c.ok || err != nil && provider.KindOf(err) != provider.Forbidden {
			t.Errorf("allowed %q: Check(%s) is %v", c.allow, c.url, err)
		}
		before := p.Requests()
		response, err := e.HTTPClient().Get(c.url)
		if err == nil {
			response.Body.Close()
		}
		if refused := provider.KindOf(err) == provider.Forbidden; refused == c.ok || (p.Requests() > before) != c.ok {
			t.Errorf("allowed %q: a request to %s: %v, the proxy was asked: %v", c.allow, c.url, err, p.Requests() > before)
		}
	}
}

// TestEgressProxyByHeader: the header cannot ask a proxy for another host than the address.
func TestEgressProxyByHeader(t *testing.T) {
	p := connectproxy.Start(t, "")
	e := proxied(t, provider.EgressConfig{Allow: []string{"minio.example.com:80"}, Proxy: p.URL})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://minio.example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "169.254.169.254"
	if _, err := e.HTTPClient().Do(r); provider.KindOf(err) != provider.Forbidden || p.Requests() > 0 {
		t.Errorf("%v, %d requests", err, p.Requests())
	}
	if _, err := e.DialContext(t.Context(), "tcp", "127.0.0.1:9"); provider.KindOf(err) != provider.Forbidden {
		t.Errorf("a connection around the proxy: %v", err)
	}
}

// TestEgressProxyConnects makes requests through a proxy with a password, plain and over TLS
// with a certificate of a private CA.
func TestEgressProxyConnects(t *testing.T) {
	var mu sync.Mutex
	var headers http.Header
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		headers = r.Header.Clone()
		_, _ = io.WriteString(w, "hello "+r.Host)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	cas := x509.NewCertPool()
	cas.AddCert(secure.Certificate())
	for _, server := range []*httptest.Server{plain, secure} {
		p := connectproxy.Start(t, server.Listener.Addr().String())
		p.User, p.Password = "me", "proxy-canary"
		// The certificate is for this name.
		url := strings.Split(server.URL, "://")[0] + "://example.com:9000"
		e := proxied(t, provider.EgressConfig{Allow: []string{"example.com:9000"}, Proxy: strings.Replace(p.URL, "://", "://me:proxy-canary@", 1), CAs: cas})
		response, err := e.HTTPClient().Get(url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(text) != "hello example.com:9000" || p.Last() != "example.com:9000" {
			t.Errorf("%s: %q, %v; the proxy was asked for %s", url, text, err, p.Last())
		}
		mu.Lock()
		if got := headers.Get("Proxy-Authorization"); got != "" {
			t.Errorf("%s: the server sees the proxy's password: %s", url, got)
		}
		mu.Unlock()
	}
}

// TestEgressProxyFailures names the proxy as what failed.
func TestEgressProxyFailures(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	locked := connectproxy.Start(t, "127.0.0.1:9")
	locked.User, locked.Password = "me", "right"
	for _, c := range []struct{ proxy, reason string }{
		{gone.URL, "the proxy (--egress-proxy) cannot be reached: the connection was refused"},
		{connectproxy.Start(t, "127.0.0.1:1").URL, "the proxy (--egress-proxy) does not connect to s3.amazonaws.com:443: HTTP 502"},
		{strings.Replace(locked.URL, "://", "://me:wrong-canary@", 1), "HTTP 407; its user and password belong into its URL"},
	} {
		ctx, sent := provider.TraceSend(context.Background())
		r, err := http.NewRequestWithContext(ctx, http.MethodDelete, "https://s3.amazonaws.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = proxied(t, provider.EgressConfig{Proxy: c.proxy}).HTTPClient().Do(r)
		reason := provider.Unreached(err)
		if e, ok := errors.AsType[*provider.Error](err); ok {
			reason = e.Reason
		}
		if err == nil || !strings.Contains(reason, c.reason) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v: %s, want %s", err, reason, c.reason)
		}
		failure := &provider.Error{Kind: provider.Unavailable}
		if _ = sent.Mark(failure); !failure.NoEffect {
			t.Errorf("%s: nothing was sent, but the delete may still act", c.reason)
		}
	}
}

func TestEgressProxyURLs(t *testing.T) {
	for text, good := range map[string]bool{
		"": true, "http://proxy": true, "http://proxy:3128": true, "https://u:canary@proxy:3128/": true,
		"proxy:3128": false, "socks5://proxy:1080": false, "http://": false, "http://proxy/canary": false, "http://u:canary@pro xy": false, "http://proxy?canary": false,
	} {
		e, err := provider.NewEgress(provider.EgressConfig{Proxy: text})
		if (err == nil) != good || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil {
			e.Close()
		}
	}
}

// TestEgressCAs: without its CA, the certificate of a server is refused with the flag that
// names it.
func TestEgressCAs(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cas := x509.NewCertPool()
	cas.AddCert(server.Certificate())
	for _, c := range []*x509.CertPool{nil, cas} {
		response, err := proxied(t, provider.EgressConfig{Allow: []string{"127.0.0.1:" + port}, CAs: c}).HTTPClient().Get(server.URL)
		if err == nil {
			response.Body.Close()
		}
		if c != nil && err != nil || c == nil && !strings.Contains(provider.Unreached(err), "--provider-ca-file") {
			t.Errorf("with %v: %v", c != nil, err)
		}
	}
}
