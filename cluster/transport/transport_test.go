package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"

	"firescan/cluster/transport"
	"firescan/cluster/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// TestHandshake checks whom a client accepts as node n1.
func TestHandshake(t *testing.T) {
	own := transporttest.NewAuthority(t)
	client := files(t, own, "n2")
	for _, tc := range []struct {
		what      string
		authority *transporttest.Authority
		name      string
		id        string
		protocol  string
		want      string
		is        error
	}{
		{"the node", own, "n1", "n1", transport.ProtocolHTTP, "", nil},
		{"its host", own, "elsewhere", "n1", transport.ProtocolRaft, "", nil},
		{"another node of the same authority", own, "n3", "n1", transport.ProtocolHTTP, "not for node n1", nil},
		{"another authority", transporttest.NewAuthority(t), "n1", "n1", transport.ProtocolHTTP, "", transport.ErrOtherSecret},
		{"another protocol", own, "n1", "n1", "firescan-raft/99", "no application protocol", nil},
	} {
		err := shake(t, client, files(t, tc.authority, tc.name), tc.id, tc.protocol)
		switch {
		case tc.is != nil:
			if !errors.Is(err, tc.is) {
				t.Errorf("%s: %v, want %v", tc.what, err, tc.is)
			}
		case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %q", tc.what, err, tc.want)
		}
	}
}

// TestCallers checks which certificates of an authority of the operator are those of nodes.
func TestCallers(t *testing.T) {
	own := transporttest.NewAuthority(t)
	server := files(t, own, "n1")
	for _, tc := range []struct {
		what       string
		authority  *transporttest.Authority
		commonName string
		names      []string
		want       bool
	}{
		{"id as common name", own, "n2", nil, true},
		{"id as DNS name", own, "", []string{"other", "n2"}, true},
		{"allowed name", own, "", []string{"pod-7.firescan.svc"}, true},
		{"allowed common name, in capitals", own, "POD-7.firescan.SVC", nil, true},
		{"another certificate of the authority", own, "some-laptop", []string{"laptop.example.com"}, false},
		{"the id as a part of a name", own, "n22", []string{"n2.example.com"}, false},
		{"host of a node", own, "", []string{"elsewhere"}, false},
		{"no name", own, "", nil, false},
		{"id of another authority", transporttest.NewAuthority(t), "n2", nil, false},
	} {
		caller, err := transport.NewReloader(tc.authority.IssueFor(t, t.TempDir(), tc.commonName, tc.names...), discard)
		if err != nil {
			t.Fatal(err)
		}
		for _, protocol := range []string{transport.ProtocolHTTP, transport.ProtocolRaft} {
			l, err := tls.Listen("tcp", "127.0.0.1:0", transport.ServerConfigFor(server, []string{"n1", "n2"}, "*.firescan.svc"))
			if err != nil {
				t.Fatal(err)
			}
			accepted := make(chan error, 1)
			go func() {
				c, err := l.Accept()
				if err == nil {
					err = c.(*tls.Conn).HandshakeContext(t.Context())
					_ = c.Close()
				}
				accepted <- err
			}()
			if c, err := tls.Dial("tcp", l.Addr().String(), transport.ClientConfig(caller, "n1", "elsewhere", protocol)); err == nil {
				defer c.Close()
			}
			if err := <-accepted; (err == nil) != tc.want {
				t.Errorf("%s, %s: %v, want accepted %v", tc.what, protocol, err, tc.want)
			}
			_ = l.Close()
		}
	}
}

// TestOwnCertificateOfNobody does not open a port with a certificate that others refuse.
func TestOwnCertificateOfNobody(t *testing.T) {
	_, err := transport.Listen(transport.Config{
		ID: "n1", ListenAddr: "127.0.0.1:0", Credentials: files(t, transporttest.NewAuthority(t), "host.example.com"), Logger: discard,
		NodeIDs: func() []string { return nil },
	})
	if err == nil || !strings.Contains(err.Error(), `"host.example.com"`) || !strings.Contains(err.Error(), "--cluster-allow-name") {
		t.Errorf("opened: %v", err)
	}
}

func files(t *testing.T, a *transporttest.Authority, name string) *transport.Reloader {
	t.Helper()
	r, err := transport.NewReloader(a.Issue(t, t.TempDir(), name), discard)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shake is a handshake of client with server, which the client expects to be id.
func shake(t *testing.T, client, server transport.Credentials, id, protocol string) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", transport.ServerConfig(server))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_ = c.(*tls.Conn).HandshakeContext(t.Context())
			_ = c.Close()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), transport.ClientConfig(client, id, "elsewhere", protocol))
	if err == nil {
		_ = c.Close()
	}
	return err
}

// pair opens the transports of nodes a and b, which know one another.
func pair(t *testing.T, change func(*transport.Config)) (a, b *transport.Transport) {
	t.Helper()
	nodes := map[string]*transport.Transport{}
	resolve := func(id string) (string, error) {
		if n := nodes[id]; n != nil {
			return n.Address(), nil
		}
		return "", fmt.Errorf("node %s is unknown", id)
	}
	for _, id := range []string{"a", "b"} {
		credentials, err := transport.NewIssuer([][]byte{bytes.Repeat([]byte("s"), 32)}, id, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		c := transport.Config{
			ID: id, ListenAddr: "127.0.0.1:0", AdvertiseHost: "127.0.0.1", Credentials: credentials, Resolve: resolve,
			Greet:          func(net.Conn, string) error { return nil },
			AcceptGreeting: func(net.Conn) error { return nil },
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %s %d", id, r.TLS.PeerCertificates[0].Subject.CommonName, r.ProtoMajor)
			}),
			Logger: discard,
		}
		if change != nil {
			change(&c)
		}
		if nodes[id], err = transport.Listen(c); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := nodes[id].Close(); err != nil {
				t.Errorf("close %s: %v", id, err)
			}
		})
		nodes[id].Serve()
	}
	return nodes["a"], nodes["b"]
}

func get(c *http.Client, id string) (string, error) {
	resp, err := c.Get("https://" + id + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// TestBothProtocols uses Raft streams and HTTP over one port.
func TestBothProtocols(t *testing.T) {
	a, b := pair(t, nil)
	for id, want := range map[string]string{"a": "a a 2", "b": "b a 2"} {
		if text, err := get(a.Client(), id); text != want || err != nil {
			t.Errorf("HTTP from a to %s: %q, %v, want %q", id, text, err, want)
		}
	}
	conn, err := a.StreamLayer().Dial("b", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := b.StreamLayer().Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(accepted, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if a.StreamLayer().Addr().String() != "a" {
		t.Errorf("the address for Raft is %v, want the id", a.StreamLayer().Addr())
	}
}

// TestDialError expects a *DialError whenever nothing was sent.
func TestDialError(t *testing.T) {
	a, b := pair(t, nil)
	var dial *transport.DialError
	if _, err := get(a.Client(), "nobody"); !errors.As(err, &dial) {
		t.Errorf("unknown node: %v, want a DialError", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := get(a.Client(), "b"); !errors.As(err, &dial) {
		t.Errorf("closed node: %v, want a DialError", err)
	}
}

// TestRefusedGreeting closes streams whose greeting is refused, on either side.
func TestRefusedGreeting(t *testing.T) {
	refused := errors.New("refused")
	a, _ := pair(t, func(c *transport.Config) {
		switch c.ID {
		case "a":
			c.Greet = func(conn net.Conn, _ string) error {
				_, err := conn.Read(make([]byte, 1))
				return err
			}
		case "b":
			c.AcceptGreeting = func(net.Conn) error { return refused }
		}
	})
	if _, err := a.StreamLayer().Dial("b", 5*time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("refused by the other side: %v, want EOF", err)
	}
	c, _ := pair(t, func(c *transport.Config) {
		c.Greet = func(net.Conn, string) error { return refused }
	})
	if _, err := c.StreamLayer().Dial("b", time.Second); !errors.Is(err, refused) {
		t.Errorf("refused by this side: %v", err)
	}
}

// TestDisconnect closes all connections, and those that are opened later.
func TestDisconnect(t *testing.T) {
	a, b := pair(t, nil)
	conn, err := a.StreamLayer().Dial("b", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := b.StreamLayer().Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	b.Disconnect()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	var dial *transport.DialError
	if _, err := b.StreamLayer().Dial(raft.ServerAddress("a"), time.Second); !errors.As(err, &dial) {
		t.Errorf("dial after Disconnect: %v, want a DialError", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b.Shutdown(ctx)
}

func TestLogLimiter(t *testing.T) {
	var l transport.LogLimiter
	for _, tc := range []struct {
		key   string
		allow bool
	}{{"x", true}, {"x", false}, {"y", true}, {"x", false}} {
		if got := l.Allow(tc.key); got != tc.allow {
			t.Errorf("Allow(%q) = %v", tc.key, got)
		}
	}
}
