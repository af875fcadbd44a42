package provider_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"firescan/provider"
)

// resolver resolves every name to the address that it is known by, over UDP on this
// machine.
func resolver(t *testing.T, names map[string]string) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	go func() {
		defer close(done)
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) == 0 {
				continue
			}
			m.Response, m.Additionals = true, nil
			q := m.Questions[0]
			addr, err := netip.ParseAddr(names[q.Name.String()])
			head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
			switch {
			case err != nil:
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeA && addr.Is4():
				m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}}}
			case q.Type == dnsmessage.TypeAAAA && addr.Is6():
				m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = server.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// TestEgressNamesThatResolveInside checks that a name is judged by the address that it
// has at that moment, whoever it belongs to.
func TestEgressNamesThatResolveInside(t *testing.T) {
	names := map[string]string{
		"metadata.example.com.":        "169.254.169.254",
		"metadata6.example.com.":       "fd00:ec2::254",
		"translated.example.com.":      "64:ff9b::a9fe:a9fe",
		"mapped.example.com.":          "::ffff:169.254.169.254",
		"google6.example.com.":         "fd20:ce::254",
		"local64.example.com.":         "64:ff9b:1::a9fe:a9fe",
		"nat64.example.com.":           "64:ff9b:1::5db8:d822",
		"private.example.com.":         "10.0.0.1",
		"storage.googleapis.com.":      "169.254.169.254",
		"s3.eu-west-1.amazonaws.com.":  "127.0.0.1",
		"fra1.digitaloceanspaces.com.": "192.168.1.1",
	}
	for _, c := range []struct {
		allow []string
		url   string
	}{
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://metadata.example.com/latest/meta-data/"},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://metadata6.example.com/"},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://translated.example.com/"},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://mapped.example.com/"},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://google6.example.com/"},
		{[]string{"*:*", "0.0.0.0/0", "::/0"}, "http://local64.example.com/"},
		{[]string{"*.example.com:*"}, "http://private.example.com/"},
		{[]string{"*.example.com:80"}, "http://nat64.example.com/"},
		{[]string{"11.0.0.0/8"}, "http://private.example.com/"},
		{nil, "https://storage.googleapis.com/"},
		{nil, "https://s3.eu-west-1.amazonaws.com/"},
		{nil, "https://fra1.digitaloceanspaces.com/"},
	} {
		e := egress(t, c.allow...)
		e.ResolveWith(resolver(t, names))
		for _, client := range []*http.Client{e.HTTPClient(), {Transport: e.Transport()}} {
			_, err := client.Get(c.url)
			if provider.KindOf(err) != provider.Forbidden {
				t.Errorf("allowed %q, %s: %v", c.allow, c.url, err)
			}
		}
	}
}

// TestEgressRedirects checks that neither our client nor one that is put over the
// transport goes where an answer points to, be the place allowed or not.
func TestEgressRedirects(t *testing.T) {
	var reached atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	mux.HandleFunc("/{status}/{place}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", map[string]string{
			"metadata": "http://169.254.169.254/latest/meta-data/",
			"named":    "http://metadata.example.com/",
			"allowed":  "/elsewhere",
			"file":     "file:///etc/passwd",
		}[r.PathValue("place")])
		status, _ := strconv.Atoi(r.PathValue("status"))
		w.WriteHeader(status)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	e := egress(t, "*:*")
	e.ResolveWith(resolver(t, map[string]string{"metadata.example.com.": "169.254.169.254"}))
	clients := map[string]*http.Client{
		"ours":   e.HTTPClient(),
		"theirs": {Transport: e.Transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return nil }},
	}
	for name, client := range clients {
		for _, place := range []string{"metadata", "named", "allowed", "file"} {
			for _, status := range []int{301, 302, 303, 307, 308} {
				response, err := client.Get(fmt.Sprintf("%s/%d/%s", server.URL, status, place))
				if err != nil {
					t.Errorf("%s, %s by status %d: %v", name, place, status, err)
					continue
				}
				if response.Body.Close(); response.StatusCode != status || response.Header.Get("Location") != "" {
					t.Errorf("%s, %s by status %d: %d to %q", name, place, status, response.StatusCode, response.Header.Get("Location"))
				}
			}
		}
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
}
