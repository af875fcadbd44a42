package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	cpb "firescan/cluster/clusterpb"
	rpc "firescan/cluster/clusterpb/clusterpbconnect"
	"firescan/cluster/transport"
)

// MaxMessage bounds the messages between nodes, in bytes.
const MaxMessage = 32 << 20

const (
	// memberTimeout bounds how long Members waits for a node that does not respond.
	memberTimeout = time.Second
	// maxMetadata is the limit of gossip for the metadata of a node, in bytes.
	maxMetadata = 512
	// maxExpect is the maximum of BootstrapExpect.
	maxExpect = 100
)

// The states of a member.
const (
	// StateAlive: the node responds.
	StateAlive = "alive"
	// StateSuspect: the node does not respond, and gossip does not consider it dead yet.
	StateSuspect = "suspect"
	// StateDead: the node disappeared without leaving.
	StateDead = "dead"
	// StateLeft: the node was stopped.
	StateLeft = "left"
)

// A Peer is a member of the cluster as this node sees it, without a request.
type Peer struct {
	ID string
	// Address is the host:port of its cluster port, HTTPAddress that of its API; empty when
	// unknown.
	Address, HTTPAddress string
	Version              string
	// Alive is the view of gossip, Leader that of this node.
	Alive, Leader, Voter, Self bool
}

// A Member is a member of the cluster with its own status, or, when it does not respond,
// with the view of others.
type Member struct {
	ID string
	// Address is the host:port of its cluster port, HTTPAddress that of its API; empty when
	// unknown.
	Address, HTTPAddress string
	Voter, Leader        bool
	// State is StateAlive, StateSuspect, StateDead or StateLeft.
	State string
	// AppliedIndex is the newest log entry that its catalog has applied, and Lag how many
	// entries that is behind this node. Both are 0 when it does not respond.
	AppliedIndex, Lag uint64
	Version           string
	// Shards is the number of shards that it holds.
	Shards int
}

// members knows the members of the cluster and where they are.
type members struct {
	id       string
	config   *Config
	logger   *slog.Logger
	catalog  *catalog.Catalog
	identity *identityFile
	raft     *raft.Raft // set by Open after the transport, which needs members
	client   *http.Client
	limit    transport.LogLimiter
	// gossip and address, that of the cluster port, are not set without ports.
	gossip  *gossip
	address string
}

// servers returns the members by the newest configuration in this node's log.
func (m *members) servers() []raft.Server { return m.raft.GetConfiguration().Configuration().Servers }

// onlyVoter reports whether this node is a voter, and there is no other.
func (m *members) onlyVoter() bool {
	only := false
	for _, s := range m.servers() {
		if s.Suffrage == raft.Voter {
			if string(s.ID) != m.id {
				return false
			}
			only = true
		}
	}
	return only
}

// contact returns gossip's knowledge of a node of this cluster, or of a fresh one.
func (m *members) contact(id string) (contact, bool) {
	if m.gossip == nil {
		return contact{}, false
	}
	c, ok := m.gossip.contact(id)
	return c, ok && m.compatible(c.meta)
}

// compatible reports whether a node is, or may become, a node of this cluster.
func (m *members) compatible(meta *cpb.NodeMeta) bool {
	self := m.identity.get()
	return meta.ClusterId == "" || self.Stage != stageMember || meta.ClusterId == self.Cluster
}

// accept returns an error for a node of another cluster.
func (m *members) accept(id string, meta *cpb.NodeMeta) error {
	if m.compatible(meta) {
		return nil
	}
	self := m.identity.get()
	if m.limit.Allow("foreign " + id) {
		m.logger.Warn("gossip of a node of another cluster refused: to let it join this cluster, remove its data directory first",
			"peer", id, "address", meta.ClusterAddress, "its cluster", meta.ClusterId, "cluster", self.Cluster)
	}
	return fmt.Errorf("node %s belongs to cluster %s, and node %s to cluster %s", id, meta.ClusterId, m.id, self.Cluster)
}

// resolve returns the address of another node's cluster port.
func (m *members) resolve(id string) (string, error) {
	if c, ok := m.contact(id); ok && c.meta.ClusterAddress != "" {
		return c.meta.ClusterAddress, nil
	}
	if last := m.identity.get().Others[id].Cluster; last != "" {
		return last, nil
	}
	return "", fmt.Errorf("the address of node %s is unknown", id)
}

// nodeIDs returns the ids of the members, and of the nodes that gossip, and so have the
// secret of the cluster.
func (m *members) nodeIDs() []string {
	ids := []string{m.id}
	for _, s := range m.servers() {
		ids = append(ids, string(s.ID))
	}
	for id, c := range m.gossip.all() {
		if m.compatible(c.meta) {
			ids = append(ids, id)
		}
	}
	return ids
}

// rpc returns the RPC client for another node.
func (m *members) rpc(id string) rpc.PeerClient {
	return rpc.NewPeerClient(m.client, "https://"+id, connect.WithReadMaxBytes(MaxMessage))
}

// metadata returns the metadata of this node for gossip.
func (m *members) metadata() *cpb.NodeMeta {
	self := m.identity.get()
	meta := &cpb.NodeMeta{
		ClusterAddress: m.address, HttpAddress: m.config.HTTPAddress, Version: m.config.Version, Instance: self.Instance,
	}
	switch {
	case self.Stage == stageMember:
		meta.ClusterId = self.Cluster
	case m.config.BootstrapExpect > 1:
		meta.Expect = uint32(m.config.BootstrapExpect) //nolint:gosec // at most maxExpect
	}
	return meta
}

// checkMetadata returns an error if the metadata of this node can exceed gossip's limit.
func (m *members) checkMetadata() error {
	meta := m.metadata()
	meta.ClusterId, meta.Expect, meta.Leaving = randomID(), maxExpect, true
	if size := proto.Size(meta); size > maxMetadata {
		return fmt.Errorf("the addresses and the version of this node exceed the gossip limit by %d bytes: choose a shorter --advertise-host", size-maxMetadata)
	}
	return nil
}

// becomeMember records that this node belongs to a cluster for good.
func (m *members) becomeMember(cluster string) error {
	err := m.identity.update(func(i *identity) error {
		if i.Cluster != "" && i.Cluster != cluster {
			return fmt.Errorf("node %s is a candidate for cluster %s", i.Node, i.Cluster)
		}
		i.Stage, i.Cluster, i.Founder = stageMember, cluster, ""
		return nil
	})
	if err == nil {
		m.logger.Info("this node is now a member of a cluster", "cluster", cluster)
		m.gossip.requestUpdate()
	}
	return err
}

// peers returns the members by id.
func (m *members) peers(leader string) []Peer {
	servers, remembered := m.servers(), m.identity.get().Others
	peers := make([]Peer, 0, len(servers))
	for _, s := range servers {
		p := Peer{ID: string(s.ID), Leader: string(s.ID) == leader, Voter: s.Suffrage == raft.Voter}
		if p.ID == m.id {
			p.Self, p.Alive, p.Address = true, true, m.address
			p.HTTPAddress, p.Version = m.config.HTTPAddress, m.config.Version
		} else if c, ok := m.contact(p.ID); ok {
			p.Alive, p.HTTPAddress, p.Version = c.alive, c.meta.HttpAddress, c.meta.Version
			p.Address = c.meta.ClusterAddress
		} else {
			p.Address = remembered[p.ID].Cluster
		}
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return peers
}

// list returns the members by id, with the status of those that respond in time.
func (m *members) list(ctx context.Context, leader string) []Member {
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	peers := m.peers(leader)
	all := make([]Member, len(peers))
	applied := m.catalog.AppliedIndex()
	var requests sync.WaitGroup
	for i, p := range peers {
		member := &all[i]
		*member = Member{
			ID: p.ID, Address: p.Address, HTTPAddress: p.HTTPAddress, Voter: p.Voter, Leader: p.Leader, Version: p.Version,
			State: StateSuspect,
		}
		if c, ok := m.contact(p.ID); !p.Alive {
			member.State = StateDead
			if ok && c.meta.Leaving {
				member.State = StateLeft
			}
		}
		requests.Go(func() {
			// Dead nodes are asked, too: the way of gossip to them may be blocked.
			status, err := m.status(ctx, p.ID)
			if err != nil {
				return
			}
			member.State, member.AppliedIndex, member.Shards = StateAlive, status.AppliedIndex, int(status.Shards)
			member.Version, member.HTTPAddress = status.Version, status.HttpAddress
			if status.AppliedIndex < applied {
				member.Lag = applied - status.AppliedIndex
			}
		})
	}
	requests.Wait()
	return all
}

// status returns the status of a node.
func (m *members) status(ctx context.Context, id string) (*cpb.StatusResponse, error) {
	if id == m.id {
		return m.ownStatus(), nil
	}
	return m.rpc(id).Status(ctx, &cpb.StatusRequest{})
}

func (m *members) ownStatus() *cpb.StatusResponse {
	self := m.identity.get()
	term, _ := strconv.ParseUint(m.raft.Stats()["last_log_term"], 10, 64)
	contact := int64(-1)
	if last := m.raft.LastContact(); m.raft.State() == raft.Leader {
		contact = 0
	} else if !last.IsZero() {
		contact = time.Since(last).Milliseconds()
	}
	shards := 0
	if m.config.Shards != nil {
		shards = m.config.Shards()
	}
	return &cpb.StatusResponse{
		Id: m.id, ClusterId: self.Cluster, Instance: self.Instance, Fresh: self.Stage != stageMember,
		AppliedIndex: m.catalog.AppliedIndex(), LastLogIndex: m.raft.LastIndex(), LastLogTerm: term, LastContactMs: contact,
		Version: m.config.Version, HttpAddress: m.config.HTTPAddress,
		Shards: uint32(max(shards, 0)), //nolint:gosec // a number of directories
	}
}

// noPeers is the HTTP transport of a node without ports.
type noPeers struct{}

// RoundTrip implements http.RoundTripper.
func (noPeers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, &transport.DialError{Err: errors.New("this node has no port for other nodes")}
}
