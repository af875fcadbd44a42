package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"firescan/catalog"
	cpb "firescan/cluster/clusterpb"
	"firescan/cluster/transport"
)

const (
	// gossipLabel separates this cluster from other software that uses the same library.
	gossipLabel = "firescan/1"
	// leaveTimeout bounds how long a stopping node tries to announce it.
	leaveTimeout = time.Second
	// gossipTCPTimeout bounds a connection for a full exchange.
	gossipTCPTimeout = 2 * time.Second
)

// contact is gossip's knowledge of another node.
type contact struct {
	meta *cpb.NodeMeta
	// gossip is its gossip address.
	gossip string
	// alive is false after the node left or stopped responding to probes. since is when
	// it last changed.
	alive bool
	since time.Time
}

// gossip discovers other nodes and detects which ones stop responding. It is safe for
// concurrent use.
type gossip struct {
	id     string
	keys   *memberlist.Keyring
	logger *slog.Logger
	limit  transport.LogLimiter
	// metadata returns the metadata of this node.
	metadata func() *cpb.NodeMeta
	// accept returns an error for nodes of other clusters.
	accept func(id string, meta *cpb.NodeMeta) error

	list *memberlist.Memberlist // set by start
	// address is the host:port that others join at.
	address string
	// outdated receives a value when the metadata of this node has changed.
	outdated chan struct{}
	updating sync.Mutex // memberlist's own update is not safe for concurrent use

	mu       sync.Mutex
	contacts map[string]contact
	changed  catalog.Signal // broadcast when contacts change
	leaving  bool
}

func newGossip(id string, keys *memberlist.Keyring, logger *slog.Logger) *gossip {
	return &gossip{id: id, keys: keys, logger: logger, contacts: map[string]contact{}, outdated: make(chan struct{}, 1)}
}

// start opens the gossip port.
func (g *gossip) start(bind, host string, t Timing, n faults) error {
	conf, err := g.config(bind, host, t)
	if err != nil {
		return err
	}
	packets, err := newGossipTransport(conf, n, g.refused)
	if err != nil {
		return transport.ListenError("--gossip-addr", bind, err)
	}
	conf.Transport = packets
	conf.BindPort = packets.GetAutoBindPort()
	conf.AdvertisePort = conf.BindPort
	g.address = net.JoinHostPort(conf.AdvertiseAddr, strconv.Itoa(conf.AdvertisePort))
	if g.list, err = memberlist.Create(conf); err != nil {
		return errors.Join(fmt.Errorf("start gossip: %w", err), packets.Shutdown())
	}
	return nil
}

// refused logs that a connection was closed unread.
func (g *gossip) refused(conn net.Conn, err error) {
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	if g.limit.Allow("refused " + host) {
		g.logger.Warn("connection to the gossip port refused", "from", host, "error", err)
	}
}

func (g *gossip) config(bind, host string, t Timing) (*memberlist.Config, error) {
	at, err := net.ResolveTCPAddr("tcp", bind)
	if err != nil {
		return nil, fmt.Errorf("resolve --gossip-addr: %w", err)
	}
	// Gossip distributes addresses, not names.
	advertise, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve --advertise-host: %w", err)
	}
	conf := memberlist.DefaultLANConfig()
	conf.Name, conf.Label, conf.Keyring = g.id, gossipLabel, g.keys
	conf.BindAddr, conf.BindPort = "0.0.0.0", at.Port
	if at.IP != nil {
		conf.BindAddr = at.IP.String()
	}
	conf.AdvertiseAddr = advertise.IP.String()
	conf.ProbeInterval, conf.ProbeTimeout, conf.GossipInterval = t.Probe, t.Probe/2, t.Probe/5
	conf.TCPTimeout = gossipTCPTimeout
	conf.PushPullInterval = 15 * t.Probe
	// Dead nodes are gossiped to for long, so that both sides of a partition meet again.
	conf.GossipToTheDeadTime = 10 * time.Minute
	// A node that comes back at another address is the same node.
	conf.DeadNodeReclaimTime = t.Probe
	events := gossipDelegate{g}
	conf.Delegate, conf.Events, conf.Alive, conf.Merge, conf.Conflict = events, events, events, events, events
	conf.Logger = newGossipLogger(g)
	return conf, nil
}

// join contacts nodes at these gossip addresses, host:port, and learns of the nodes that
// they know.
func (g *gossip) join(ctx context.Context, addresses []string) error {
	var errs []error
	for _, address := range addresses {
		// Names are resolved here, since memberlist queries name servers in its own way.
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			errs = append(errs, fmt.Errorf("join %s: %w", address, err))
			continue
		}
		ips, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			errs = append(errs, fmt.Errorf("join %s: %w", address, err))
			continue
		}
		for _, ip := range ips {
			if _, err := g.list.Join([]string{net.JoinHostPort(ip, port)}); err != nil {
				// With one address, the first error is the only one.
				errs = append(errs, fmt.Errorf("join %s: %w", address, explainDecryption(cmp.Or(errors.Unwrap(err), err))))
			}
		}
	}
	return errors.Join(errs...)
}

// requestUpdate asks for an update, without waiting for it.
func (g *gossip) requestUpdate() {
	select {
	case g.outdated <- struct{}{}:
	default: // requested already
	}
}

// update announces the changed metadata of this node.
func (g *gossip) update() {
	g.updating.Lock()
	defer g.updating.Unlock()
	// On an error, the next full exchange distributes it.
	_ = g.list.UpdateNode(leaveTimeout)
}

// leave announces that this node stops.
func (g *gossip) leave() error {
	g.mu.Lock()
	g.leaving = true
	g.mu.Unlock()
	g.update()
	return g.list.Leave(leaveTimeout)
}

// stop closes the gossip port.
func (g *gossip) stop() error {
	if g.list == nil {
		return nil
	}
	return g.list.Shutdown()
}

// all returns the contacts by id, dead ones included. This node is not among them.
func (g *gossip) all() map[string]contact {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.contacts)
}

func (g *gossip) contact(id string) (contact, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.contacts[id]
	return c, ok
}

// changes returns a channel that is closed at the next change of contacts.
func (g *gossip) changes() <-chan struct{} { return g.changed.Wait() }

// record updates the contact of a node. It is called under memberlist's lock.
func (g *gossip) record(n *memberlist.Node, alive bool) {
	if n.Name == g.id {
		return
	}
	meta, err := decodeMetadata(n.Meta)
	if err != nil {
		g.logger.Warn("decoding another node's gossip metadata failed", "peer", n.Name, "error", err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old, ok := g.contacts[n.Name]
	next := contact{meta: meta, gossip: n.Address(), alive: alive, since: old.since}
	if !ok || old.alive != alive {
		next.since = time.Now()
		g.logger.Info("gossip state of another node changed", "peer", n.Name, "address", meta.ClusterAddress, "alive", alive, "leaving", meta.Leaving)
	}
	g.contacts[n.Name] = next
	g.changed.Broadcast()
}
