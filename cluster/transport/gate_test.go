package transport_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"firescan/cluster/transport"
)

// addressed is a connection from an address.
type addressed struct {
	net.Conn
	from string
}

func (a addressed) RemoteAddr() net.Addr { return a }
func (addressed) Network() string        { return "tcp" }
func (a addressed) String() string       { return a.from }

func TestGateCounts(t *testing.T) {
	g := &transport.Gate{Total: 4, PerHost: 2}
	open := func(from string) (*transport.GatedConn, error) {
		conn, other := net.Pipe()
		t.Cleanup(func() { _ = conn.Close(); _ = other.Close() })
		return g.Admit(addressed{conn, from})
	}
	var first *transport.GatedConn
	for _, tc := range []struct {
		from string
		want bool
	}{
		{"10.0.0.1:1", true},
		{"10.0.0.1:2", true},
		{"10.0.0.1:3", false},
		{"[::ffff:10.0.0.1]:4", false},
		{"[2001:db8::1]:1", true},
		{"[2001:db8::2:1]:2", true},
		{"[2001:db8:0:0:ffff::]:3", false},
		{"10.0.0.2:1", false},
	} {
		conn, err := open(tc.from)
		if (err == nil) != tc.want {
			t.Errorf("%s: %v, want admitted %v", tc.from, err, tc.want)
		}
		if first == nil {
			first = conn
		}
	}
	// A connection counts once, however it ends.
	first.Release()
	_ = first.Close()
	if _, err := open("10.0.0.2:1"); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
	if _, err := open("10.0.0.2:2"); err == nil {
		t.Error("a connection more than one that was closed")
	}
}

func TestGateBytes(t *testing.T) {
	conn, other := net.Pipe()
	defer other.Close()
	go func() { _, _ = other.Write(make([]byte, 100)) }()
	admitted, err := (&transport.Gate{Total: 1, PerHost: 1, Bytes: 10}).Admit(addressed{conn, "10.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer admitted.Close()
	if n, err := io.Copy(io.Discard, admitted); n != 10 || !errors.Is(err, transport.ErrTooManyBytes) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	admitted.Release()
	if n, err := io.ReadFull(admitted, make([]byte, 90)); n != 90 {
		t.Errorf("after the release: %d bytes, %v", n, err)
	}
}

// TestStrangersAreBounded opens many connections that send nothing.
func TestStrangersAreBounded(t *testing.T) {
	a, b := pair(t, nil)
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	if runtime.GOOS != "linux" {
		t.Skip("the strangers need a separate address: only Linux has all of 127.0.0.0/8")
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range 3 * transport.MaxPendingPerHost {
		c, err := dialer.DialContext(t.Context(), "tcp", b.Address())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	// All but those that may be pending are closed; the others end with their deadlines.
	ended := make(chan error, len(open))
	for _, c := range open {
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
	}
	for range 2 * transport.MaxPendingPerHost {
		if err := <-ended; err == nil {
			t.Error("a stranger got an answer")
		}
	}
	// Nodes are let in meanwhile.
	if text, err := get(a.Client(), "b"); err != nil || text != "b a 2" {
		t.Errorf("a node got %q, %v", text, err)
	}
}
