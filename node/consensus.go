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
)

// errStarting is returned by Ready until the first leader has made what every
// request needs.
var errStarting = errors.New("the cluster is being set up: no keyset and root token yet")

// consensus is the cluster as the API sees it.
type consensus struct {
	cluster *cluster.Cluster
	catalog *catalog.Catalog
	self    string
	setUp   atomic.Bool // the keyset and the root token were seen
	// prepared: this node leads, and has seen to what every request needs. A root token that
	// was given takes the place of the one before only then.
	prepared atomic.Bool
}

// Propose implements api.Consensus.
func (c *consensus) Propose(ctx context.Context, command proto.Message) (*pb.Result, error) {
	r, err := c.cluster.Propose(ctx, command)
	return r, answerable(ctx, err)
}

// ProposeOnce implements api.Consensus.
func (c *consensus) ProposeOnce(ctx context.Context, command proto.Message, once *pb.Once) (*pb.Result, error) {
	r, err := c.cluster.ProposeOnce(ctx, command, once)
	return r, answerable(ctx, err)
}

// ProposeAll implements api.Consensus.
func (c *consensus) ProposeAll(ctx context.Context, commands []proto.Message) ([]*pb.Result, error) {
	r, err := c.cluster.ProposeAll(ctx, commands)
	return r, answerable(ctx, err)
}

// Barrier implements api.Consensus.
func (c *consensus) Barrier(ctx context.Context) error {
	return answerable(ctx, c.cluster.Barrier(ctx))
}

// Ready implements api.Consensus.
func (c *consensus) Ready() error {
	if err := c.cluster.Ready(); err != nil {
		return answerable(context.Background(), err)
	}
	if leader, _ := c.cluster.Leader(); leader == c.self && !c.prepared.Load() {
		return fmt.Errorf("%w: %w", api.ErrNoLeader, errStarting)
	}
	if c.setUp.Load() {
		return nil
	}
	// The first leader makes them, and every node sees them in its catalog.
	if err := c.catalog.View(func(tx *catalog.Tx) error {
		_, err := tx.Token(rootTokenID)
		if err == nil && len(tx.Keyset()) == 0 {
			err = errStarting
		}
		return err
	}); err != nil {
		// To a client that is the same: try again shortly.
		return fmt.Errorf("%w: %w (%w)", api.ErrNoLeader, errStarting, err)
	}
	c.setUp.Store(true)
	return nil
}

// answerable gives what the cluster cannot do the API's own name: the rooms of a floor
// do not know one another. All of it is worth another try, but only after ErrNoLeader
// and ErrFull is it certain that nothing was written. A cancellation is told as one only
// when it is the caller's own, that of ctx: a question to a leader that steps down is
// cancelled, too.
func answerable(ctx context.Context, err error) error {
	unavailable := func(message string, err error) error {
		return &api.Error{Code: api.CodeNoLeader, Message: message, Err: err}
	}
	switch {
	case err == nil, ctx.Err() != nil && errors.Is(err, context.Canceled): // the client went away
		return err
	case errors.Is(err, cluster.ErrNoLeader):
		return unavailable("The cluster has no leader at the moment; try again shortly", fmt.Errorf("%w: %w", api.ErrNoLeader, err))
	case errors.Is(err, cluster.ErrFull):
		return unavailable("The disk of this node is full; nothing was written, try again when there is room", err)
	case errors.Is(err, cluster.ErrUnknown):
		return unavailable("The change could not be confirmed in time; it may have been made, look before sending it again", err)
	case errors.Is(err, cluster.ErrClosed):
		return unavailable("This node is stopping; try again shortly", err)
	}
	return err
}
