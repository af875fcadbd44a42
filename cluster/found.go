package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	cpb "firescan/cluster/clusterpb"
)

const (
	// maxExpect is the most nodes that begin a cluster together.
	maxExpect = 100
	// askWait bounds a question to another node that needs no disk.
	askWait = 2 * time.Second
	// holdPromise is how long a node keeps a promise before it asks whether it is still good.
	holdPromise = 3 * time.Second
)

// found begins a cluster together with other fresh nodes, if that is this node's part,
// and keeps what it promised. It ends when the node is a member.
//
// The founder is the lowest id of the fresh nodes that it knows. It begins only with the
// promise of each of the N nodes that the cluster is to have; a node gives its promise to one
// founder at a time, durably, and takes it back only when that founder says that it
// gave up, which it notes durably before. So two founders whose views overlap in one node
// cannot both begin. The cluster's id is that of the attempt.
func (c *Cluster) found() {
	tick := time.NewTicker(c.config.Timing.Tick / 2)
	defer tick.Stop()
	var promisedSince time.Time
	for {
		me := c.identity.get()
		switch me.Stage {
		case stageMember:
			return
		case stagePromised:
			if promisedSince.IsZero() {
				promisedSince = time.Now()
			}
			if time.Since(promisedSince) > holdPromise {
				c.checkPromise(me)
				promisedSince = time.Now()
			}
		case stageFresh:
			promisedSince = time.Time{}
			if members := c.founders(); members != nil {
				if err := c.begin(members); err != nil && c.ctx.Err() == nil {
					c.logger.Info("the cluster could not be begun yet", "error", err)
				}
			}
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// founders lists the nodes that this one may begin a cluster with, itself first; nil when
// it has to wait.
func (c *Cluster) founders() []string {
	expect := c.config.BootstrapExpect
	if expect <= 1 {
		return nil // without others it has begun in Open; with others it waits
	}
	ids := []string{c.id}
	for id, k := range c.gossip.known() {
		switch {
		case k.meta.ClusterId != "":
			// Somebody has state, alive or not: it takes us in.
			return nil
		case k.alive && int(k.meta.Expect) == expect:
			ids = append(ids, id)
		case k.alive && k.meta.Expect != 0 && c.told.now("expect "+id):
			c.logger.Warn("another node has another --bootstrap-expect: give all nodes the same", "peer", id, "expects", k.meta.Expect, "this node", expect)
		}
	}
	slices.Sort(ids)
	if len(ids) < expect || ids[0] != c.id {
		return nil
	}
	return ids[:expect]
}

// begin asks for the promises and begins the cluster.
func (c *Cluster) begin(members []string) (err error) {
	attempt := randomID()
	if err := c.identity.update(func(i *identity) error {
		if i.Stage != stageFresh {
			return fmt.Errorf("it is %s", i.Stage)
		}
		i.Stage, i.Cluster = stageFounding, attempt
		return nil
	}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.giveUp(attempt, members))
		}
	}()
	servers := []raft.Server{server(c.id)}
	for _, id := range members[1:] {
		ctx, cancel := context.WithTimeout(c.ctx, askWait)
		answer, err := c.peer(id).Promise(ctx, &cpb.PromiseRequest{ClusterId: attempt, Founder: c.id, Members: members})
		cancel()
		switch {
		case err != nil:
			return fmt.Errorf("ask node %s for its promise: %w", id, err)
		case answer.Refusal != "":
			return fmt.Errorf("node %s gives no promise: %s", id, answer.Refusal)
		}
		servers = append(servers, server(id))
	}
	// From here on the attempt cannot be given up: the next start finds a log and is a member,
	// or finds none (see openIdentity).
	if err := c.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		c.fail(fmt.Errorf("begin a cluster: %w", err))
		return nil
	}
	c.logger.Info("a cluster has begun", "cluster", attempt, "members", members)
	if err := c.becomeMember(attempt); err != nil {
		c.fail(err)
	}
	return nil
}

// giveUp ends an attempt: first for good, then for the others.
func (c *Cluster) giveUp(attempt string, members []string) error {
	if err := c.identity.update(func(i *identity) error {
		i.Stage, i.Cluster = stageFresh, ""
		return nil
	}); err != nil {
		return err
	}
	for _, id := range members[1:] {
		ctx, cancel := context.WithTimeout(c.ctx, askWait)
		// Who does not hear it will ask.
		_, _ = c.peer(id).Release(ctx, &cpb.ReleaseRequest{ClusterId: attempt})
		cancel()
	}
	return nil
}

// checkPromise asks the founder whether the attempt that this node promised itself to is
// still on. A founder that does not answer may have begun, so the promise holds.
func (c *Cluster) checkPromise(me identity) {
	ctx, cancel := context.WithTimeout(c.ctx, askWait)
	defer cancel()
	answer, err := c.peer(me.Founder).Founding(ctx, &cpb.FoundingRequest{ClusterId: me.Cluster})
	switch {
	case err != nil:
		if c.ctx.Err() == nil && c.told.now("promise") {
			c.logger.Warn("this node has promised itself to a founder that does not answer, and waits for it",
				"founder", me.Founder, "error", err)
		}
	case !answer.Stands:
		c.release(me.Cluster)
	}
}

// release takes back the promise to an attempt that was given up.
func (c *Cluster) release(attempt string) {
	if err := c.identity.update(func(i *identity) error {
		if i.Stage != stagePromised || i.Cluster != attempt {
			return errNothing
		}
		i.Stage, i.Cluster, i.Founder = stageFresh, "", ""
		return nil
	}); err != nil && !errors.Is(err, errNothing) {
		c.logger.Warn("a promise could not be taken back", "error", err)
	}
}

// errNothing says that there is nothing to change.
var errNothing = errors.New("nothing to change")

// Promise implements the RPC.
func (s service) Promise(_ context.Context, r *cpb.PromiseRequest) (*cpb.PromiseResponse, error) {
	refuse := func(err error) (*cpb.PromiseResponse, error) {
		return &cpb.PromiseResponse{Refusal: err.Error()}, nil
	}
	if !slices.Contains(r.Members, s.id) || !slices.Contains(r.Members, r.Founder) || r.ClusterId == "" {
		return refuse(errors.New("it is not among the members"))
	}
	if len(r.Members) != s.config.BootstrapExpect {
		return refuse(fmt.Errorf("it expects %d nodes, not %d", s.config.BootstrapExpect, len(r.Members)))
	}
	for id, k := range s.gossip.known() {
		if k.meta.ClusterId != "" {
			return refuse(fmt.Errorf("node %s belongs to a cluster already", id))
		}
	}
	err := s.identity.update(func(i *identity) error {
		switch {
		case i.Stage == stagePromised && i.Cluster == r.ClusterId:
			return errNothing
		case i.Stage == stagePromised:
			return fmt.Errorf("it has given its promise to node %s", i.Founder)
		case i.Stage != stageFresh:
			return fmt.Errorf("it is %s", i.Stage)
		}
		i.Stage, i.Cluster, i.Founder = stagePromised, r.ClusterId, r.Founder
		return nil
	})
	if err != nil && !errors.Is(err, errNothing) {
		return refuse(err)
	}
	return &cpb.PromiseResponse{}, nil
}

// Release implements the RPC.
func (s service) Release(_ context.Context, r *cpb.ReleaseRequest) (*cpb.ReleaseResponse, error) {
	s.release(r.ClusterId)
	return &cpb.ReleaseResponse{}, nil
}

// Founding implements the RPC.
func (s service) Founding(_ context.Context, r *cpb.FoundingRequest) (*cpb.FoundingResponse, error) {
	return &cpb.FoundingResponse{Stands: s.identity.get().Cluster == r.ClusterId}, nil
}
