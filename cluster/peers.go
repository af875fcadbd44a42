package cluster

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	cpb "firescan/cluster/clusterpb"
	rpc "firescan/cluster/clusterpb/clusterpbconnect"
)

// Peer is a member of the group as this node sees it, without asking anybody.
type Peer struct {
	ID string
	// Address is the host:port of its cluster port, HTTPAddress that of its API, empty when
	// it is not known.
	Address, HTTPAddress string
	Version              string
	// Alive: gossip has not found it silent. Leader: it leads, as far as this node knows.
	Alive, Leader, Voter, Self bool
}

// Peers lists the members of the group by id, this node included.
func (c *Cluster) Peers() []Peer {
	_, leader, _ := c.leads()
	servers, remembered := c.servers(), c.identity.get().Others
	peers := make([]Peer, 0, len(servers))
	for _, s := range servers {
		p := Peer{ID: string(s.ID), Leader: string(s.ID) == leader, Voter: s.Suffrage == raft.Voter}
		if p.ID == c.id {
			p.Self, p.Alive = true, true
			if c.port != nil {
				p.Address = c.port.address
			}
			p.HTTPAddress, p.Version = c.config.HTTPAddress, c.config.Version
		} else if k, ok := c.contact(p.ID); ok {
			p.Alive, p.HTTPAddress, p.Version = k.alive, k.meta.HttpAddress, k.meta.Version
			p.Address = k.meta.ClusterAddress
		} else {
			p.Address = remembered[p.ID].Cluster
		}
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return peers
}

// contact is what gossip knows of another node of this cluster, or of a fresh one.
func (c *Cluster) contact(id string) (contact, bool) {
	if c.gossip == nil {
		return contact{}, false
	}
	k, ok := c.gossip.contact(id)
	return k, ok && c.ours(k.meta)
}

// ours tells whether a node may come to belong to this cluster.
func (c *Cluster) ours(meta *cpb.NodeMeta) bool {
	mine := c.identity.get()
	return meta.ClusterId == "" || mine.Stage != stageMember || meta.ClusterId == mine.Cluster
}

// HTTPClient makes requests to other nodes: "https://<id of a node>/…", over HTTP/2 with
// mutual TLS, wherever that node is now. A request to a node that falls silent fails within
// some seconds; apart from that its context bounds it.
func (c *Cluster) HTTPClient() *http.Client { return c.client }

// newClient makes the client for other nodes.
func (c *Cluster) newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				id, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, &dialError{err}
				}
				return c.dial(ctx, id, protocolHTTP)
			},
			Protocols: onlyHTTP2(), HTTP2: http2Config(),
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13}, // DialTLSContext has its own
			TLSHandshakeTimeout: dialWait, IdleConnTimeout: idleWait,
			// Segments are compressed already, and commands are small.
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// peer is the RPC client of another node.
func (c *Cluster) peer(id string) rpc.PeerClient { return rpc.NewPeerClient(c.client, "https://"+id) }

// resolve finds the cluster port of a node.
func (c *Cluster) resolve(id string) (string, error) {
	if id == c.id {
		return c.port.own(), nil
	}
	if k, ok := c.contact(id); ok && k.meta.ClusterAddress != "" {
		return k.meta.ClusterAddress, nil
	}
	if last := c.identity.get().Others[id].Cluster; last != "" {
		return last, nil
	}
	return "", fmt.Errorf("it is not known where node %s is", id)
}

// meta is what this node tells about itself in gossip.
func (c *Cluster) meta() *cpb.NodeMeta {
	me := c.identity.get()
	m := &cpb.NodeMeta{
		ClusterAddress: c.port.address, HttpAddress: c.config.HTTPAddress, Version: c.config.Version, Instance: me.Instance,
	}
	switch {
	case me.Stage == stageMember:
		m.ClusterId = me.Cluster
	case c.config.BootstrapExpect > 1:
		m.Expect = uint32(c.config.BootstrapExpect) //nolint:gosec // checked by Open
	}
	return m
}

// maxMeta is what gossip carries of a node's metadata.
const maxMeta = 512

// checkMeta refuses a configuration that gossip could not carry.
func (c *Cluster) checkMeta() error {
	m := c.meta()
	m.ClusterId, m.Expect, m.Leaving = randomID(), maxExpect, true
	if size := proto.Size(m); size > maxMeta {
		return fmt.Errorf("the addresses and the version of this node take %d bytes more than gossip carries: choose a shorter --advertise-host", size-maxMeta)
	}
	return nil
}

// judge refuses what gossip tells of nodes of other clusters.
func (c *Cluster) judge(id string, meta *cpb.NodeMeta) error {
	if c.ours(meta) {
		return nil
	}
	if c.told.now("foreign " + id) {
		c.logger.Warn("a node of another cluster was met and is kept apart: to let one join the other, remove its data directory first",
			"peer", id, "address", meta.ClusterAddress, "its cluster", meta.ClusterId, "cluster", c.identity.get().Cluster)
	}
	return fmt.Errorf("node %s belongs to cluster %s, and node %s to cluster %s", id, meta.ClusterId, c.id, c.identity.get().Cluster)
}

// advertisedHost finds the host that other nodes reach this one at.
func advertisedHost(c *Config) (string, error) {
	if c.AdvertiseHost != "" {
		return c.AdvertiseHost, nil
	}
	for _, address := range []string{c.ClusterAddr, c.GossipAddr} {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return "", fmt.Errorf("the address %q for other nodes is no host:port: %w", address, err)
		}
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
			return host, nil
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list the addresses of this machine: %w", err)
	}
	var found []string
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			found = append(found, n.IP.String())
		}
	}
	if len(found) != 1 {
		return "", errors.New("it is not clear at which address other nodes reach this one: name it with --advertise-host")
	}
	return found[0], nil
}
