package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"firescan/api"
	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/cluster"
	"firescan/index"
)

// errStarting is returned by Ready until the first leader has made what every
// request needs.
var errStarting = errors.New("the cluster is being set up: no keyset and root token yet")

// consensus is the cluster as the API sees it.
type consensus struct {
	cluster *cluster.Cluster
	ready   atomic.Bool // the keyset and the root token are there
}

// Propose implements api.Consensus.
func (c *consensus) Propose(ctx context.Context, command proto.Message) (*pb.Result, error) {
	r, err := c.cluster.Propose(ctx, command)
	return r, leaderless(err)
}

// ProposeAll implements api.Consensus.
func (c *consensus) ProposeAll(ctx context.Context, commands []proto.Message) ([]*pb.Result, error) {
	r, err := c.cluster.ProposeAll(ctx, commands)
	return r, leaderless(err)
}

// Barrier implements api.Consensus.
func (c *consensus) Barrier(ctx context.Context) error { return leaderless(c.cluster.Barrier(ctx)) }

// Ready implements api.Consensus.
func (c *consensus) Ready() error {
	if err := c.cluster.Ready(); err != nil {
		return leaderless(err)
	}
	if !c.ready.Load() {
		// To a client that is the same: try again shortly.
		return fmt.Errorf("%w: %w", api.ErrNoLeader, errStarting)
	}
	return nil
}

// leaderless gives the lack of a leader the API's own name: the rooms of a floor do
// not know one another.
func leaderless(err error) error {
	if errors.Is(err, cluster.ErrNoLeader) {
		return fmt.Errorf("%w: %w", api.ErrNoLeader, err)
	}
	return err
}

// members tells the API about the nodes of the cluster.
type members struct {
	cluster *cluster.Cluster
	catalog *catalog.Catalog
	index   *index.Store
	self    string
	address string
	version string
}

// Nodes implements api.Members.
func (m *members) Nodes(context.Context) ([]api.Member, error) {
	all, err := m.cluster.Members()
	if err != nil {
		return nil, err
	}
	nodes := make([]api.Member, len(all))
	for i, peer := range all {
		nodes[i] = api.Member{ID: peer.ID, Leader: peer.Leader, Voter: peer.Voter, State: peer.State}
		if peer.ID != m.self {
			continue
		}
		shards, err := m.shards()
		if err != nil {
			return nil, err
		}
		nodes[i].Address, nodes[i].Version = m.address, m.version
		nodes[i].AppliedIndex, nodes[i].Shards = m.catalog.AppliedIndex(), shards
	}
	return nodes, nil
}

// shards counts the destinations whose files this node can tell.
func (m *members) shards() (n int, err error) {
	held, err := m.index.Destinations()
	for _, id := range held {
		if _, _, ok := m.index.Generation(id); ok {
			n++
		}
	}
	return n, err
}
