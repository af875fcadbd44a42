package cluster

import (
	"context"
	"math"
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"firescan/cluster/transport"
)

// The limits of gossip over TCP, for what anyone may send: memberlist checks the key of a
// message of up to 20 MiB only when it has all of it, and holds it three times. 512 KiB are
// the state of some 500 nodes.
const (
	maxGossipConns, maxGossipConnsPerHost = 32, 8
	maxGossipBytes                        = 512 << 10
)

// gossipTransport is memberlist's transport with bounds, and with faults for tests.
// memberlist itself ends each connection after gossipTCPTimeout, however slow it is.
type gossipTransport struct {
	*memberlist.NetTransport
	faults  faults
	refused func(conn net.Conn, err error)
	// accepted and dialed count connections.
	accepted, dialed transport.Gate
	streams          chan net.Conn
	stopped          chan struct{}
}

var _ memberlist.NodeAwareTransport = (*gossipTransport)(nil)

func newGossipTransport(conf *memberlist.Config, f faults, refused func(net.Conn, error)) (*gossipTransport, error) {
	// With port 0, the free TCP port may be taken for UDP.
	for tries := 10; ; tries-- {
		t, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{conf.BindAddr}, BindPort: conf.BindPort, Logger: conf.Logger,
		})
		if err == nil {
			g := &gossipTransport{
				NetTransport: t, faults: f, refused: refused, streams: make(chan net.Conn), stopped: make(chan struct{}),
				accepted: transport.Gate{Total: maxGossipConns, PerHost: maxGossipConnsPerHost, Bytes: maxGossipBytes},
				dialed:   transport.Gate{Total: math.MaxInt, PerHost: math.MaxInt, Bytes: maxGossipBytes},
			}
			go g.admit()
			return g, nil
		}
		if conf.BindPort != 0 || tries == 0 {
			return nil, err
		}
	}
}

// admit passes accepted connections to memberlist, until Shutdown.
func (t *gossipTransport) admit() {
	for {
		select {
		case conn := <-t.NetTransport.StreamCh():
			admitted, err := t.accepted.Admit(conn)
			if err != nil {
				t.refused(conn, err)
				continue
			}
			select {
			case t.streams <- admitted:
			case <-t.stopped:
				_ = admitted.Close()
				return
			}
		case <-t.stopped:
			return
		}
	}
}

// StreamCh implements memberlist.Transport.
func (t *gossipTransport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport. memberlist calls it once.
func (t *gossipTransport) Shutdown() error {
	err := t.NetTransport.Shutdown() // admit takes what it has accepted
	close(t.stopped)
	return err
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *gossipTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if t.faults.lost != nil && t.faults.lost(a.Addr) {
		return time.Now(), nil
	}
	return t.NetTransport.WriteToAddress(b, a)
}

// WriteTo implements memberlist.Transport.
func (t *gossipTransport) WriteTo(b []byte, address string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: address})
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *gossipTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	dial := (&net.Dialer{}).DialContext
	if t.faults.dialer != nil {
		dial = t.faults.dialer
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := dial(ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	return t.dialed.Admit(conn)
}

// DialTimeout implements memberlist.Transport.
func (t *gossipTransport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: address}, timeout)
}
