// Package cluster replicates commands to the catalogs of several nodes through Raft, and
// knows the nodes and their leader.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	rpc "firescan/cluster/clusterpb/clusterpbconnect"
	"firescan/cluster/transport"
)

const (
	// raftTimeout bounds each read and write of a Raft request; snapshots get more by size.
	raftTimeout = 5 * time.Second
	// raftPoolSize is how many idle connections to each node Raft keeps.
	raftPoolSize = 3
)

// A Cluster is this node's part of the cluster. It is safe for concurrent use.
type Cluster struct {
	config     Config
	logger     *slog.Logger
	raft       *raft.Raft
	fsm        *fsm
	log        *logStore
	members    *members
	leadership *leadership
	reads      *reads
	proposer   *proposer
	removal    *removal
	verdicts   *verdicts
	repair     *repair
	inflight   inflight
	freeze     freezeDetector

	raftTransport raft.Transport
	mux           *http.ServeMux
	// These are nil without ports.
	credentials transport.Credentials
	transport   *transport.Transport
	gossip      *gossip
	bootstrap   *bootstrap

	fatal      chan error
	unregister func()          // metrics
	ctx        context.Context //nolint:containedctx // ends with stop
	stop       context.CancelCauseFunc
	work       sync.WaitGroup
	closing    sync.Once
	closeErr   error
}

// Open opens the data of this node and its cluster port. In a new data directory it creates
// a cluster of this node alone, or waits for others, depending on the configuration. It
// communicates with other nodes only after Start.
func Open(config Config) (_ *Cluster, err error) {
	config.Timing = config.Timing.withDefaults()
	c := &Cluster{
		config: config, logger: config.Logger, mux: http.NewServeMux(), fatal: make(chan error, 1),
	}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	var undo []func() error
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()
	logger := newLogger(c.logger)
	if c.log, err = openLog(filepath.Join(config.Dir, "log"), config.faults.segment, logger); err != nil {
		return nil, err
	}
	undo = append(undo, c.log.Close)
	snapshots, err := openSnapshots(config.Dir, config.Catalog)
	if err != nil {
		return nil, err
	}
	if err := c.log.checkComplete(config, snapshots); err != nil {
		return nil, err
	}
	hasLog, err := raft.HasExistingState(c.log, c.log, snapshots)
	if err != nil {
		return nil, fmt.Errorf("read the log in %s: %w", config.Dir, err)
	}
	identity, err := openIdentity(config.Dir, config.ID, hasLog)
	if err != nil {
		return nil, err
	}
	if err := c.openTransport(identity, logger); err != nil {
		return nil, err
	}
	undo = append(undo, c.closeTransport)
	raftConfig := c.config.raftConfig(logger)
	if !hasLog && config.BootstrapExpect <= 1 && len(config.Join) == 0 {
		if err := bootstrapAlone(config.ID, identity, func(servers raft.Configuration) error {
			return raft.BootstrapCluster(raftConfig, c.log, c.log, snapshots, c.raftTransport, servers)
		}); err != nil {
			return nil, err
		}
	}
	c.fsm = &fsm{
		catalog: config.Catalog, snapshots: snapshots, logger: c.logger, fatal: c.fatal, closing: c.ctx.Done(), beforeApply: config.faults.applying,
		applied: config.Catalog.AppliedIndex,
	}
	if c.raft, err = raft.NewRaft(raftConfig, c.fsm, c.log, c.log, snapshots, c.raftTransport); err != nil {
		return nil, fmt.Errorf("start Raft: %w", err)
	}
	undo = append(undo, func() error { return c.raft.Shutdown().Error() })
	c.build()
	c.unregister, err = register(config.Registerer, c.raft, c.members)
	return c, err
}

// openTransport opens the cluster port, and makes what needs it, gossip included. Without
// ports Raft has a transport in memory.
func (c *Cluster) openTransport(identity *identityFile, logger *hclogger) error {
	c.members = &members{
		id: c.config.ID, config: &c.config, logger: c.logger, catalog: c.config.Catalog, identity: identity,
		client: &http.Client{Transport: noPeers{}},
	}
	if c.config.alone() {
		address, memory := raft.NewInmemTransportWithTimeout(raft.ServerAddress(c.config.ID), 50*time.Millisecond)
		memory.Connect(address, memory)
		c.raftTransport = memory
		return nil
	}
	host, err := c.config.advertisedHost()
	if err != nil {
		return err
	}
	c.config.AdvertiseHost = host
	keys := &memberlist.Keyring{}
	if err := useGossipKeys(keys, c.config.Secrets); err != nil {
		return err
	}
	credentials, err := c.config.credentials()
	if err != nil {
		return err
	}
	var ids func() []string
	if c.config.Certificates != (transport.CertFiles{}) {
		ids = c.members.nodeIDs
	}
	greeter := greeter{c.members}
	if c.transport, err = transport.Listen(transport.Config{
		ID: c.config.ID, ListenAddr: c.config.ClusterAddr, AdvertiseHost: host, Credentials: credentials, Resolve: c.members.resolve,
		NodeIDs: ids, AllowNames: c.config.AllowNames,
		Greet: greeter.greet, AcceptGreeting: greeter.accept, Handler: c.mux, Logger: c.logger, Dialer: c.config.faults.dialer,
	}); err != nil {
		return err
	}
	c.credentials = credentials
	c.gossip = newGossip(c.config.ID, keys, c.logger)
	c.gossip.metadata, c.gossip.accept = c.members.metadata, c.members.accept
	c.members.gossip, c.members.address, c.members.client = c.gossip, c.transport.Address(), c.transport.Client()
	c.raftTransport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: c.transport.StreamLayer(), MaxPool: raftPoolSize, Timeout: raftTimeout, Logger: logger.Named("raft-net"),
		// No pipelines: in Raft 1.8.0 one can deadlock when the follower refuses an entry at
		// the moment in which the next one is sent. Then the follower gets nothing more from
		// this leader, and Raft cannot be shut down.
		MaxRPCsInFlight: 1,
	})
	if err := c.members.checkMetadata(); err != nil {
		return errors.Join(err, c.closeTransport())
	}
	return nil
}

func (c *Cluster) closeTransport() error {
	if c.transport == nil {
		return nil
	}
	err := c.transport.Close()
	if t, ok := c.raftTransport.(raft.WithClose); ok {
		err = errors.Join(err, t.Close())
	}
	return err
}

// build makes the parts that need Raft.
func (c *Cluster) build() {
	identity := c.members.identity
	c.members.raft = c.raft
	c.leadership = &leadership{
		id: c.config.ID, heartbeat: c.config.Timing.Heartbeat, raft: c.raft, inflight: &c.inflight, logger: c.logger, ctx: c.ctx,
	}
	membership := &membership{
		config: &c.config, members: c.members, identity: identity, gossip: c.gossip, raft: c.raft, logger: c.logger,
		work: &c.work, ctx: c.ctx,
	}
	c.leadership.began = membership.start
	c.reads = &reads{
		members: c.members, leadership: c.leadership, catalog: c.config.Catalog, raft: c.raft, log: c.log, fsm: c.fsm,
		inflight: &c.inflight, tick: c.config.Timing.Tick, logger: c.logger, ctx: c.ctx,
	}
	c.reads.batch.fetch = c.reads.readIndex
	c.proposer = &proposer{
		members: c.members, leadership: c.leadership, reads: c.reads, raft: c.raft, fsm: c.fsm, inflight: &c.inflight, freeze: &c.freeze, ctx: c.ctx,
	}
	c.removal = &removal{
		members: c.members, leadership: c.leadership, identity: identity, raft: c.raft, logger: c.logger, fail: c.fail,
	}
	c.verdicts = &verdicts{members: c.members, catalog: c.config.Catalog, logger: c.logger, work: &c.work}
	c.repair = &repair{
		members: c.members, catalog: c.config.Catalog, raft: c.raft, fsm: c.fsm, tick: c.config.Timing.Tick, logger: c.logger, ctx: c.ctx,
	}
	c.reads.repair = c.repair
	if c.transport == nil {
		return
	}
	c.mux.HandleFunc("GET "+catalogPath, c.repair.serve)
	c.bootstrap = &bootstrap{
		expect: c.config.BootstrapExpect, interval: c.config.Timing.Tick / 2, members: c.members, identity: identity, gossip: c.gossip,
		raft: c.raft, logger: c.logger, fail: c.fail, ctx: c.ctx,
	}
	c.mux.Handle(rpc.NewPeerHandler(&service{
		members: c.members, leadership: c.leadership, reads: c.reads, proposer: c.proposer, bootstrap: c.bootstrap, removal: c.removal,
		verdicts: c.verdicts,
	}, connect.WithReadMaxBytes(MaxMessage)))
}

// Handle registers a handler for the requests that other nodes make with HTTPClient, with
// the patterns of http.ServeMux. The caller is a node of this cluster, proven by its
// certificate. Call it before Start.
func (c *Cluster) Handle(pattern string, h http.Handler) { c.mux.Handle(pattern, h) }

// Start starts to communicate with other nodes, and to take part in the cluster. Call it
// once.
func (c *Cluster) Start() error {
	c.work.Go(c.leadership.run)
	c.work.Go(c.reads.catchUp)
	c.work.Go(func() { c.freeze.run(c.ctx) })
	if c.transport != nil {
		c.transport.Serve()
		if err := c.gossip.start(c.config.GossipAddr, c.config.AdvertiseHost, c.config.Timing, c.config.faults); err != nil {
			return err
		}
		discovery := &discovery{
			members: c.members, identity: c.members.identity, gossip: c.gossip, config: &c.config, logger: c.logger, ctx: c.ctx,
		}
		watchdog := &diskWatchdog{
			timeout: c.config.Timing.Stall, log: c.log, raft: c.raft, members: c.members, logger: c.logger, stop: c.disconnect,
		}
		c.work.Go(discovery.run)
		c.work.Go(c.bootstrap.run)
		c.work.Go(c.repair.run)
		c.work.Go(func() { watchdog.run(c.ctx) })
	}
	c.electSelf()
	return nil
}

// electSelf makes the only voter stand for election at once, instead of waiting for a
// heartbeat that cannot come.
func (c *Cluster) electSelf() {
	if !c.members.onlyVoter() {
		return
	}
	c.work.Go(func() {
		id := c.config.ID
		header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(id)}
		err := c.raftTransport.TimeoutNow(raft.ServerID(id), raft.ServerAddress(id), &raft.TimeoutNowRequest{RPCHeader: header}, &raft.TimeoutNowResponse{})
		if err != nil {
			c.logger.Debug("the only voter waits for the election timeout", "error", err)
		}
	})
}

// Propose appends a command to the log, through the leader, and returns its result when it
// is applied on this node. Its error is the refusal of the catalog (a *catalog.Error),
// ErrNoLeader or ErrFull when nothing was written, or wraps ErrUnknown.
func (c *Cluster) Propose(ctx context.Context, command proto.Message) (*pb.Result, error) {
	results, err := c.ProposeAll(ctx, []proto.Message{command})
	if err != nil {
		return nil, err
	}
	return results[0], catalog.ResultError(results[0])
}

// ProposeOnce is Propose for a command that takes effect once for the key of once, however
// often it is proposed: it always returns the first result.
func (c *Cluster) ProposeOnce(ctx context.Context, command proto.Message, once *pb.Once) (*pb.Result, error) {
	entry, err := catalog.EncodeOnce(command, once)
	if err != nil {
		return nil, err
	}
	results, err := c.proposer.propose(ctx, [][]byte{entry}, true)
	if err != nil {
		return nil, err
	}
	return results[0], catalog.ResultError(results[0])
}

// ProposeAll appends commands to the log in this order, and returns their results when all
// are applied. The catalog applies them in one transaction where it can, which makes many
// small changes cheap. A refusal is in the result. After an error, as that of Propose, the
// commands before the one that failed may have been applied.
func (c *Cluster) ProposeAll(ctx context.Context, commands []proto.Message) ([]*pb.Result, error) {
	entries := make([][]byte, len(commands))
	for i, command := range commands {
		var err error
		if entries[i], err = catalog.Encode(command); err != nil {
			return nil, err
		}
	}
	return c.proposer.propose(ctx, entries, false)
}

// FrozenSince reports whether this process stood still (SIGSTOP, a paused machine) at a time
// or later. A request that arrived before the end of a freeze may be one that its client has
// given up.
func (c *Cluster) FrozenSince(at time.Time) bool { return c.freeze.since(at) }

// DrainTime is how long after a freeze requests are read that may have arrived before or
// during it.
const DrainTime = drainTime

// Barrier waits until the catalog of this node has applied all commands whose proposers, on
// any node, had a result before the call. It writes nothing to the log. When no leader is
// found in time, or this node cannot reach it, its error is ErrNoLeader.
func (c *Cluster) Barrier(ctx context.Context) error { return c.reads.barrier(ctx) }

// Confirm returns nil when a majority of the voters has decided on a deletion as this node
// has: one damaged catalog must not decide. A node that differs replaces its catalog.
// Its error wraps ErrUnconfirmed or ErrDissent.
func (c *Cluster) Confirm(ctx context.Context, v catalog.Verdict) error {
	return c.verdicts.confirm(ctx, v)
}

// Ready returns nil when this node knows a leader and has applied the commands that were
// committed when it began to lead, and for some seconds after it has lost that leader.
func (c *Cluster) Ready() error { return c.reads.ready() }

// Leader returns the id of the leader, if this node knows one.
func (c *Cluster) Leader() (id string, ok bool) {
	_, leader := c.raft.LeaderWithID()
	return string(leader), leader != ""
}

// Term returns the Raft term in which this node leads, 0 when it does not lead.
func (c *Cluster) Term() uint64 {
	if t, _, _ := c.leadership.current(); t != nil {
		return t.number
	}
	return 0
}

// Lead runs fn whenever this node leads, until ctx ends. The context of fn ends with the
// term. An error of fn is logged, and fn runs again after a second if the node still leads.
func (c *Cluster) Lead(ctx context.Context, fn func(context.Context) error) error {
	return c.leadership.lead(ctx, fn)
}

// Members lists the members of the cluster by id. It asks all of them for their status, for
// at most a second.
func (c *Cluster) Members(ctx context.Context) ([]Member, error) {
	_, leader, _ := c.leadership.current()
	return c.members.list(ctx, leader), nil
}

// Peers lists the members of the cluster by id, this node included, without a request.
func (c *Cluster) Peers() []Peer {
	_, leader, _ := c.leadership.current()
	return c.members.peers(leader)
}

// Remove removes a node from the cluster for good, through the leader. The node stops when
// it is notified, now or when it comes back, unless its data directory is a new one. Remove
// returns ErrRefused when too few voters would be alive.
func (c *Cluster) Remove(ctx context.Context, id string) error { return c.removal.remove(ctx, id) }

// HTTPClient returns the client for requests to other nodes: "https://<node id>/…", over
// HTTP/2 with mutual TLS. A request to a node that falls silent fails within some seconds;
// otherwise only its context bounds it.
func (c *Cluster) HTTPClient() *http.Client { return c.members.client }

// Fatal returns a channel that receives one error when this node must stop: its state
// machine failed, its disk hangs, or it was removed from the cluster.
func (c *Cluster) Fatal() <-chan error { return c.fatal }

func (c *Cluster) fail(err error) {
	select {
	case c.fatal <- err:
	default:
	}
}

// disconnect stops the node without the help of Raft.
func (c *Cluster) disconnect(err error) {
	c.transport.Disconnect()
	c.stop(ErrStalled)
	c.fail(err)
}
