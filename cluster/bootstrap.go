package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	cpb "firescan/cluster/clusterpb"
	"firescan/cluster/transport"
)

const (
	// rpcTimeout bounds an RPC that needs no disk at the other node.
	rpcTimeout = 2 * time.Second
	// promiseCheckInterval is how often a candidate asks whether the attempt still exists.
	promiseCheckInterval = 3 * time.Second
)

// bootstrap forms a new cluster of fresh nodes, or makes this node a candidate for one.
//
// The node with the lowest id bootstraps. It creates the cluster only with the promise of
// each of the N nodes that the cluster is to have. A candidate promises itself to one
// attempt at a time, durably, and takes the promise back only when the bootstrapper says
// that it abandoned the attempt, which that records durably before. So two bootstrappers
// whose views overlap in one node cannot both create a cluster. The id of the cluster is
// that of the attempt.
type bootstrap struct {
	expect   int
	interval time.Duration
	members  *members
	identity *identityFile
	gossip   *gossip
	raft     *raft.Raft
	logger   *slog.Logger
	limit    transport.LogLimiter
	fail     func(error)
	ctx      context.Context //nolint:containedctx // that of the cluster
}

// bootstrapAlone creates a cluster of this node alone, before Raft runs.
func bootstrapAlone(id string, f *identityFile, create func(raft.Configuration) error) error {
	if err := f.update(func(i *identity) error {
		i.Stage, i.Cluster = stageBootstrapper, randomID()
		return nil
	}); err != nil {
		return err
	}
	if err := create(raft.Configuration{Servers: []raft.Server{raftServer(id)}}); err != nil {
		return fmt.Errorf("create a cluster: %w", err)
	}
	return f.update(func(i *identity) error {
		i.Stage = stageMember
		return nil
	})
}

// run bootstraps or waits, until this node is a member of a cluster.
func (b *bootstrap) run() {
	tick := time.NewTicker(b.interval)
	defer tick.Stop()
	var checked time.Time // when the promise was given or last checked
	for {
		self := b.identity.get()
		switch self.Stage {
		case stageMember:
			return
		case stageCandidate:
			if checked.IsZero() {
				checked = time.Now()
			}
			if time.Since(checked) > promiseCheckInterval {
				b.checkPromise(self)
				checked = time.Now()
			}
		case stageFresh:
			checked = time.Time{}
			if candidates := b.candidates(); candidates != nil {
				if err := b.create(candidates); err != nil && b.ctx.Err() == nil {
					b.logger.Info("creating a cluster failed; retrying", "error", err)
				}
			}
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			return
		}
	}
}

// candidates returns the nodes that this one may create a cluster with, itself first, or nil
// when it has to wait.
func (b *bootstrap) candidates() []string {
	if b.expect <= 1 {
		return nil // it has created a cluster alone in Open, or waits to be admitted to one
	}
	ids := []string{b.members.id}
	for id, c := range b.gossip.all() {
		switch {
		case c.meta.ClusterId != "":
			return nil // there is a cluster already, even if that node is down: it admits this one
		case c.alive && int(c.meta.Expect) == b.expect:
			ids = append(ids, id)
		case c.alive && c.meta.Expect != 0 && b.limit.Allow("expect "+id):
			b.logger.Warn("another node has a different --bootstrap-expect: give all nodes the same", "peer", id, "expects", c.meta.Expect, "this node", b.expect)
		}
	}
	slices.Sort(ids)
	if len(ids) < b.expect || ids[0] != b.members.id {
		return nil
	}
	return ids[:b.expect]
}

// create collects the promises and creates the cluster.
func (b *bootstrap) create(candidates []string) (err error) {
	attempt := randomID()
	if err := b.identity.update(func(i *identity) error {
		if i.Stage != stageFresh {
			return fmt.Errorf("this node is %s", stageNames[i.Stage])
		}
		i.Stage, i.Cluster = stageBootstrapper, attempt
		return nil
	}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.abandon(attempt, candidates))
		}
	}()
	servers := []raft.Server{raftServer(b.members.id)}
	for _, id := range candidates[1:] {
		ctx, cancel := context.WithTimeout(b.ctx, rpcTimeout)
		response, err := b.members.rpc(id).Promise(ctx, &cpb.PromiseRequest{ClusterId: attempt, Founder: b.members.id, Members: candidates})
		cancel()
		switch {
		case err != nil:
			return fmt.Errorf("request a promise from node %s: %w", id, err)
		case response.Refusal != "":
			return fmt.Errorf("node %s refused to promise: %s", id, response.Refusal)
		}
		servers = append(servers, raftServer(id))
	}
	// From here on the attempt must not be abandoned: on the next start the node finds a log
	// and is a member, or finds none (see openIdentity).
	if err := b.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		b.fail(fmt.Errorf("create a cluster: %w", err))
		return nil
	}
	b.logger.Info("cluster created", "cluster", attempt, "members", candidates)
	if err := b.members.becomeMember(attempt); err != nil {
		b.fail(err)
	}
	return nil
}

// abandon ends an attempt, durably, and then releases its candidates.
func (b *bootstrap) abandon(attempt string, candidates []string) error {
	if err := b.identity.update(func(i *identity) error {
		i.Stage, i.Cluster = stageFresh, ""
		return nil
	}); err != nil {
		return err
	}
	for _, id := range candidates[1:] {
		ctx, cancel := context.WithTimeout(b.ctx, rpcTimeout)
		// A candidate that does not receive this asks: see checkPromise.
		_, _ = b.members.rpc(id).Release(ctx, &cpb.ReleaseRequest{ClusterId: attempt})
		cancel()
	}
	return nil
}

// checkPromise asks the bootstrapper whether its attempt still exists. One that does not
// respond may have created the cluster, so the promise stays.
func (b *bootstrap) checkPromise(self identity) {
	ctx, cancel := context.WithTimeout(b.ctx, rpcTimeout)
	defer cancel()
	response, err := b.members.rpc(self.Founder).Founding(ctx, &cpb.FoundingRequest{ClusterId: self.Cluster})
	switch {
	case err != nil:
		if b.ctx.Err() == nil && b.limit.Allow("promise") {
			b.logger.Warn("waiting for the node that bootstraps this cluster; it does not respond", "peer", self.Founder, "error", err)
		}
	case !response.Stands:
		b.release(self.Cluster)
	}
}

// release takes back the promise to an attempt.
func (b *bootstrap) release(attempt string) {
	if err := b.identity.update(func(i *identity) error {
		if i.Stage != stageCandidate || i.Cluster != attempt {
			return errUnchanged
		}
		i.Stage, i.Cluster, i.Founder = stageFresh, "", ""
		return nil
	}); err != nil && !errors.Is(err, errUnchanged) {
		b.logger.Warn("releasing a promise failed", "error", err)
	}
}

// promise makes this node a candidate of an attempt, or returns why it cannot be one.
func (b *bootstrap) promise(r *cpb.PromiseRequest) error {
	if !slices.Contains(r.Members, b.members.id) || !slices.Contains(r.Members, r.Founder) || r.ClusterId == "" {
		return errors.New("it is not among the members")
	}
	if len(r.Members) != b.expect {
		return fmt.Errorf("it expects %d nodes, not %d", b.expect, len(r.Members))
	}
	for id, c := range b.gossip.all() {
		if c.meta.ClusterId != "" {
			return fmt.Errorf("node %s belongs to a cluster already", id)
		}
	}
	err := b.identity.update(func(i *identity) error {
		switch {
		case i.Stage == stageCandidate && i.Cluster == r.ClusterId:
			return errUnchanged
		case i.Stage == stageCandidate:
			return fmt.Errorf("it is a candidate of node %s", i.Founder)
		case i.Stage != stageFresh:
			return fmt.Errorf("it is %s", stageNames[i.Stage])
		}
		i.Stage, i.Cluster, i.Founder = stageCandidate, r.ClusterId, r.Founder
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// admit makes this node, which is fresh, a member of an existing cluster.
func (b *bootstrap) admit(cluster string) error {
	self := b.identity.get()
	switch {
	case cluster == "":
		return errors.New("the request names no cluster")
	case self.Stage == stageMember && self.Cluster == cluster:
		return nil
	case self.Stage != stageFresh:
		return fmt.Errorf("it is %s", stageNames[self.Stage])
	}
	return b.members.becomeMember(cluster)
}
