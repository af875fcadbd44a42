package cluster

import (
	"context"
	"net"
	"sync"
)

// network drops messages between nodes on request.
type network struct {
	mu    sync.Mutex
	where map[string]string // node by address
	lost  map[[2]string]bool
	// gossip holds the gossip addresses of running nodes.
	gossip map[string]string
}

func newNetwork() *network {
	return &network{where: map[string]string{}, lost: map[[2]string]bool{}, gossip: map[string]string{}}
}

// runs records the gossip address of a node; empty when it stops.
func (w *network) runs(id, gossip string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.gossip, id); gossip != "" {
		w.gossip[id] = gossip
	}
}

func (w *network) at(id, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.where[address] = id
}

// cut drops all messages from one set of nodes to another, or stops to.
func (w *network) cut(from, to []*node, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range from {
		for _, t := range to {
			w.lost[[2]string{f.id, t.id}] = lost
		}
	}
}

// part cuts both directions.
func (w *network) part(a, b []*node, lost bool) {
	w.cut(a, b, lost)
	w.cut(b, a, lost)
}

func (w *network) isLost(from, address string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost[[2]string{from, w.where[address]}]
}

func (w *network) isLostTo(from, to string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost[[2]string{from, to}]
}

// faults returns the network as one node sees it. Dropped messages cause no error, as behind
// a firewall.
func (w *network) faults(id string, segment int) faults {
	return faults{
		segment: segment,
		lost:    func(address string) bool { return w.isLost(id, address) },
		dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
			if w.isLost(id, address) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			w.mu.Lock()
			to := w.where[address]
			w.mu.Unlock()
			return &lossy{Conn: conn, network: w, from: id, to: to}, nil
		},
	}
}

// lossy is a connection over the network. While a direction is cut, writes succeed and are
// dropped, and reads return nothing.
type lossy struct {
	net.Conn
	network  *network
	from, to string
	dead     bool
	mu       sync.Mutex
}

func (l *lossy) isDead(from, to string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A connection that has lost something never works again.
	l.dead = l.dead || l.network.isLostTo(from, to)
	return l.dead
}

// Write implements net.Conn.
func (l *lossy) Write(p []byte) (int, error) {
	if l.isDead(l.from, l.to) {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// Read implements net.Conn.
func (l *lossy) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if err != nil || !l.isDead(l.to, l.from) {
			return n, err
		}
	}
}
