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
	"google.golang.org/protobuf/proto"

	cpb "firescan/cluster/clusterpb"
)

const (
	// gossipLabel keeps other software that uses the same library out.
	gossipLabel = "firescan/1"
	// leaveWait bounds how long a node that stops tries to say so.
	leaveWait = time.Second
)

// contact is what gossip knows of another node.
type contact struct {
	meta *cpb.NodeMeta
	// gossip is its gossip address.
	gossip string
	// alive: nobody has found it silent for long. since is when that changed last.
	alive bool
	since time.Time
}

// gossip finds the other nodes and notices when one falls silent. It is safe for
// concurrent use.
type gossip struct {
	id     string
	key    []byte
	logger *slog.Logger
	told   seldom
	// meta is what this node tells about itself.
	meta func() *cpb.NodeMeta
	// judge refuses nodes that are none of ours.
	judge func(id string, meta *cpb.NodeMeta) error

	list *memberlist.Memberlist // set by start
	// at is the host:port that others join at.
	at       string
	updating sync.Mutex // memberlist's own update is not safe for concurrent use

	mu       sync.Mutex
	contacts map[string]contact
	changed  chan struct{} // closed when contacts change
	leaving  bool
}

func newGossip(id string, key []byte, logger *slog.Logger) *gossip {
	return &gossip{id: id, key: key, logger: logger, contacts: map[string]contact{}, changed: make(chan struct{})}
}

// start opens the gossip port and begins to answer.
func (g *gossip) start(bind, host string, t Timing, n faults) error {
	conf, err := g.config(bind, host, t)
	if err != nil {
		return err
	}
	transport, err := newGossipTransport(conf, n)
	if err != nil {
		return fmt.Errorf("listen for gossip on --gossip-addr %s: %w (is another process using it? choose a free one)", bind, err)
	}
	conf.Transport = transport
	conf.BindPort = transport.GetAutoBindPort()
	conf.AdvertisePort = conf.BindPort
	g.at = net.JoinHostPort(conf.AdvertiseAddr, strconv.Itoa(conf.AdvertisePort))
	if g.list, err = memberlist.Create(conf); err != nil {
		return errors.Join(fmt.Errorf("start gossip: %w", err), transport.Shutdown())
	}
	return nil
}

func (g *gossip) config(bind, host string, t Timing) (*memberlist.Config, error) {
	at, err := net.ResolveTCPAddr("tcp", bind)
	if err != nil {
		return nil, fmt.Errorf("resolve --gossip-addr: %w", err)
	}
	// Gossip passes on addresses, not names.
	advertise, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve --advertise-host: %w", err)
	}
	conf := memberlist.DefaultLANConfig()
	conf.Name, conf.Label, conf.SecretKey = g.id, gossipLabel, g.key
	conf.BindAddr, conf.BindPort = "0.0.0.0", at.Port
	if at.IP != nil {
		conf.BindAddr = at.IP.String()
	}
	conf.AdvertiseAddr = advertise.IP.String()
	conf.ProbeInterval, conf.ProbeTimeout, conf.GossipInterval = t.Probe, t.Probe/2, t.Probe/5
	conf.TCPTimeout = dialWait
	conf.PushPullInterval = 15 * t.Probe
	// What is dead is told for long, so that both sides of a partition that ends meet again.
	conf.GossipToTheDeadTime = 10 * time.Minute
	// A node that comes back at another address is the same node.
	conf.DeadNodeReclaimTime = t.Probe
	conf.Delegate, conf.Events, conf.Alive, conf.Merge, conf.Conflict = g, g, g, g, g
	conf.Logger = newGossipLogger(g)
	return conf, nil
}

// join asks nodes at these gossip addresses, host:port, for the others they know.
func (g *gossip) join(ctx context.Context, addresses []string) error {
	var errs []error
	for _, address := range addresses {
		// Names are resolved here, since memberlist asks name servers in ways of its own.
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
				// Only one address was tried, so that the first error is the only one.
				errs = append(errs, fmt.Errorf("join %s: %w", address, explainGossip(cmp.Or(errors.Unwrap(err), err))))
			}
		}
	}
	return errors.Join(errs...)
}

// update tells the others that this node's metadata has changed.
func (g *gossip) update() {
	g.updating.Lock()
	defer g.updating.Unlock()
	// What cannot be told now is told with the next full exchange.
	_ = g.list.UpdateNode(leaveWait)
}

// leave tells the others that this node stops by its own will.
func (g *gossip) leave() error {
	g.mu.Lock()
	g.leaving = true
	g.mu.Unlock()
	g.update()
	if err := g.list.Leave(leaveWait); err != nil {
		return fmt.Errorf("tell the other nodes that this one stops: %w", err)
	}
	return nil
}

// stop ends it all.
func (g *gossip) stop() error {
	if g.list == nil {
		return nil
	}
	return g.list.Shutdown()
}

// known is a copy of all contacts but this node itself, also of those that are gone.
func (g *gossip) known() map[string]contact {
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

// changes gives a channel that is closed with the next change of what is known.
func (g *gossip) changes() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// note takes in what memberlist tells. It is called under memberlist's lock.
func (g *gossip) note(n *memberlist.Node, alive bool) {
	if n.Name == g.id {
		return
	}
	meta, err := readMeta(n.Meta)
	if err != nil {
		g.logger.Warn("another node's metadata cannot be read", "peer", n.Name, "error", err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old, ok := g.contacts[n.Name]
	next := contact{meta: meta, gossip: n.Address(), alive: alive, since: old.since}
	if !ok || old.alive != alive {
		next.since = time.Now()
		g.logger.Info("another node was noticed", "peer", n.Name, "address", meta.ClusterAddress, "alive", alive, "leaving", meta.Leaving)
	}
	g.contacts[n.Name] = next
	close(g.changed)
	g.changed = make(chan struct{})
}

func readMeta(data []byte) (*cpb.NodeMeta, error) {
	meta := &cpb.NodeMeta{}
	return meta, proto.Unmarshal(data, meta)
}

// NotifyJoin implements memberlist.EventDelegate.
func (g *gossip) NotifyJoin(n *memberlist.Node) { g.note(n, true) }

// NotifyUpdate implements memberlist.EventDelegate.
func (g *gossip) NotifyUpdate(n *memberlist.Node) { g.note(n, true) }

// NotifyLeave implements memberlist.EventDelegate.
func (g *gossip) NotifyLeave(n *memberlist.Node) { g.note(n, false) }

// NotifyAlive implements memberlist.AliveDelegate: it keeps nodes of other clusters out.
func (g *gossip) NotifyAlive(n *memberlist.Node) error {
	if n.Name == g.id {
		return nil
	}
	meta, err := readMeta(n.Meta)
	if err != nil {
		return fmt.Errorf("its metadata cannot be read: %w", err)
	}
	return g.judge(n.Name, meta)
}

// NotifyMerge implements memberlist.MergeDelegate: it keeps two clusters from coming to
// know one another. Both sides are told.
func (g *gossip) NotifyMerge(nodes []*memberlist.Node) error {
	for _, n := range nodes {
		if err := g.NotifyAlive(n); err != nil {
			return err
		}
	}
	return nil
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (g *gossip) NotifyConflict(existing, other *memberlist.Node) {
	if g.told.now("conflict " + existing.Name) {
		g.logger.Error("a node that was just seen is now at another address: if it was not restarted there, two nodes have the same id and one of them must get another",
			"id", existing.Name, "address", existing.Address(), "other", other.Address())
	}
}

// NodeMeta implements memberlist.Delegate.
func (g *gossip) NodeMeta(limit int) []byte {
	meta := g.meta()
	g.mu.Lock()
	meta.Leaving = g.leaving
	g.mu.Unlock()
	data, err := proto.Marshal(meta)
	if err != nil || len(data) > limit {
		// Open has checked the parts that have no bound of their own.
		g.logger.Error("this node's metadata is too long for gossip", "bytes", len(data), "limit", limit, "error", err)
		return nil
	}
	return data
}

// NotifyMsg implements memberlist.Delegate; there are no messages.
func (g *gossip) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (g *gossip) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (g *gossip) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (g *gossip) MergeRemoteState([]byte, bool) {}
