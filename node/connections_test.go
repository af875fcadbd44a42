package node

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"firescan/cluster/transport"
)

// TestConnectionsAreBounded opens one connection more than an address, or all, may have.
func TestConnectionsAreBounded(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, gate := range map[string]*transport.Gate{
		"of an address":      {PerHost: 3},
		"in all":             {Total: 3},
		"of trusted proxies": {Total: 3, PerHost: 1, Trusted: loopback},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := listenBounded("--http-addr", "127.0.0.1:0", gate, testConfig(t).Logger)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			accepted := make(chan net.Conn)
			go func() {
				defer close(accepted)
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					accepted <- conn
				}
			}()
			connect := func() net.Conn {
				t.Helper()
				conn, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				return conn
			}
			var last net.Conn
			for range 3 {
				connect()
				last = <-accepted
				defer last.Close()
			}
			refused := connect()
			_ = refused.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := refused.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a fourth connection was not closed: %v", err)
			}
			if n := testutil.ToFloat64(l.refused); n != 1 {
				t.Errorf("%v refused connections are counted", n)
			}
			_ = last.Close()
			connect()
			_ = (<-accepted).Close()
		})
	}
}

func TestLimitsOfConnections(t *testing.T) {
	c := testConfig(t)
	c.Limits.Connections, c.Limits.AddressConnections, c.TrustedProxies = 7, 5, []string{"10.0.0.0/8"}
	l, bounds, err := listen(&c)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if g := bounds.gate; g.Total != 7 || g.PerHost != 5 || len(g.Trusted) != 1 {
		t.Errorf("the gate is %+v", g)
	}
}
