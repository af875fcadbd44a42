package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrTooManyBytes is returned when a connection has read what its Gate allows.
var ErrTooManyBytes = errors.New("the other side sent more than a node does")

// A Gate bounds what others can make this node hold over a port: connections, in all and
// for each address, and the bytes that are read from each. It is safe for concurrent use.
type Gate struct {
	// Total and PerHost are maximum numbers of open connections (0 = unlimited), PerHost by
	// HostOf. Those of the networks in Trusted count in all only.
	Total, PerHost int
	Trusted        []netip.Prefix
	// Bytes is the maximum number of bytes that are read from a connection (0 = unlimited).
	Bytes int64

	mu    sync.Mutex
	open  int
	hosts map[netip.Prefix]int
}

// Admit returns conn, to be closed by the caller, or closes it and returns an error when
// too many are open.
func (g *Gate) Admit(conn net.Conn) (*GatedConn, error) {
	leave, err := g.Enter(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &GatedConn{Conn: conn, max: g.Bytes, leave: leave}, nil
}

// Enter counts conn until the caller calls leave, unless too many are open.
func (g *Gate) Enter(conn net.Conn) (leave func(), err error) {
	host := hostOf(conn)
	trusted := slices.ContainsFunc(g.Trusted, func(p netip.Prefix) bool { return p.Overlaps(host) })
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Total > 0 && g.open >= g.Total || g.PerHost > 0 && g.hosts[host] >= g.PerHost && !trusted {
		return nil, fmt.Errorf("%d connections are open, %d of this address: at most %d and %d may be", g.open, g.hosts[host], g.Total, g.PerHost)
	}
	if g.hosts == nil {
		g.hosts = map[netip.Prefix]int{}
	}
	g.open++
	g.hosts[host]++
	return sync.OnceFunc(func() { g.leave(host) }), nil
}

func (g *Gate) leave(host netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.hosts[host]--; g.hosts[host] == 0 {
		delete(g.hosts, host)
	}
}

// hostOf returns the host of the other side. All whose address is unknown are one.
func hostOf(conn net.Conn) netip.Prefix {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	return HostOf(at.Addr())
}

// HostOf returns what limits count as one host: an IPv4 address, or an IPv6 network of 64 bits,
// which one machine can have all addresses of.
func HostOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	host, _ := a.Prefix(bits) // bits are right for the address
	return host
}

// A GatedConn is a connection that counts at its Gate until it is closed.
type GatedConn struct {
	net.Conn
	max   int64
	read  atomic.Int64
	done  atomic.Bool
	leave func()
}

// Read implements net.Conn.
func (c *GatedConn) Read(p []byte) (int, error) {
	if c.max == 0 || c.done.Load() {
		return c.Conn.Read(p)
	}
	left := c.max - c.read.Load()
	if left <= 0 {
		return 0, fmt.Errorf("%w (%d bytes)", ErrTooManyBytes, c.max)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.read.Add(int64(n))
	return n, err
}

// Release ends the limits of the gate: the connection is that of a node.
func (c *GatedConn) Release() {
	c.done.Store(true)
	c.leave()
}

// Close implements net.Conn.
func (c *GatedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
