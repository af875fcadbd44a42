// Package cluster makes the nodes agree: it finds them, replicates commands through Raft
// and tells which node leads. What a command does is the catalog's matter.
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

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
)

var (
	// ErrNoLeader is returned when no leader was found within some seconds: a
	// majority of the nodes is down or cut off. Nothing was written.
	ErrNoLeader = errors.New("no leader: a majority of the nodes is down or cannot be reached; try again shortly")
	// ErrUnknown is returned when the leadership was lost, or the caller gave up,
	// while a command was under way: it may be carried out yet, or not.
	ErrUnknown = errors.New("the command may or may not have been carried out")
	// ErrFull is returned while the disk of this node or of the leader has no room for what
	// was committed before. Nothing was written.
	ErrFull = errors.New("the disk of this node is full: nothing is written until there is room; free some")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the cluster is closed")
)

// Config is what Open needs. The fields without a remark are required.
type Config struct {
	// ID names this node; it must stay the same for its data directory.
	ID string
	// Dir holds the log, the metadata of snapshots and who this node is.
	Dir string
	// Catalog is the state machine that committed commands are applied to.
	Catalog    *catalog.Catalog
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// ClusterAddr and GossipAddr are the host:port that this node listens at for others;
	// port 0 takes a free one. When both are empty, no port is opened: the node is a group
	// of one, and what follows is not needed.
	ClusterAddr, GossipAddr string
	// AdvertiseHost is the host or IP address that others reach this node at; empty takes
	// that of the listeners, or the one address that the machine has.
	AdvertiseHost string
	// Join lists gossip addresses, host:port, of nodes to find the others through; optional.
	// They are tried for ever.
	Join []string
	// BootstrapExpect is how many fresh nodes begin a cluster together. With 1 or less a
	// fresh node begins alone, or, when Join names others, waits to be taken in.
	BootstrapExpect int
	// Secret is what the nodes of a cluster share and nobody else knows.
	Secret []byte
	// Certificates replace the ones derived from Secret; optional.
	Certificates Files
	// HTTPAddress is where clients reach the API of this node, told to the others.
	HTTPAddress string
	// Version is told to the others.
	Version string
	// Shards counts the shards that this node holds, told to the others; optional.
	Shards func() int
	// DeadAfter is how long a node must be gone before it is taken out of the group, if at
	// least three voters remain; 0 takes the default, negative is never.
	DeadAfter time.Duration
	// Timing is for tests; the zero value is for real networks.
	Timing Timing
	// faults are for tests.
	faults faults
}

// alone tells whether the node shall have no port for others.
func (c *Config) alone() bool { return c.ClusterAddr == "" && c.GossipAddr == "" }

// Cluster is this node's part in the group. It is safe for concurrent use.
type Cluster struct {
	id        string
	config    Config
	logger    *slog.Logger
	raft      *raft.Raft
	transport raft.Transport
	fsm       *fsm
	catalog   *catalog.Catalog
	log       *logStore
	identity  *identities
	told      seldom

	// What is nil or unused in a group of one without ports.
	wire     *wire
	port     *port
	security security
	gossip   *gossip
	retell   chan struct{} // asks for gossip.update
	mux      *http.ServeMux
	server   *http.Server
	client   *http.Client

	reads    rounds
	asking   gate
	fatal    chan error
	collect  func()          // takes the metrics out of the registry
	ctx      context.Context //nolint:containedctx // the life of the cluster: ends with stop
	stop     context.CancelCauseFunc
	work     sync.WaitGroup
	closing  sync.Once
	closeErr error

	mu sync.Mutex
	// term is this node's leadership, nil while it does not lead. It is set only
	// when all that earlier leaders committed is applied here.
	term *term
	// leader is the node that leads, as far as this one knows; empty: none.
	leader string
	// caughtUp is the leader whose state this node has reached.
	caughtUp string
	changed  chan struct{} // closed when one of these changes
}

// Open opens what the node has and takes its ports. A new data directory begins a group
// of one, or waits for others, as the configuration says. Nothing is said to other nodes
// and nothing is led before Start.
func Open(c Config) (_ *Cluster, err error) {
	c.Timing = c.Timing.orDefaults()
	cl := &Cluster{
		id: c.ID, config: c, logger: c.Logger, catalog: c.Catalog, mux: http.NewServeMux(), retell: make(chan struct{}, 1),
		fatal: make(chan error, 1), changed: make(chan struct{}),
	}
	cl.ctx, cl.stop = context.WithCancelCause(context.Background())
	cl.reads.ask, cl.client = cl.readIndex, cl.newClient()
	var undo []func() error
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()
	logger := newLogger(c.Logger)
	if cl.log, err = openLog(filepath.Join(c.Dir, "log"), c.faults.segment, logger); err != nil {
		return nil, err
	}
	undo = append(undo, cl.log.Close)
	snapshots, err := openSnapshots(c.Dir, c.Catalog)
	if err != nil {
		return nil, err
	}
	if err := checkLog(c, cl.log, snapshots); err != nil {
		return nil, err
	}
	known, err := raft.HasExistingState(cl.log, cl.log, snapshots)
	if err != nil {
		return nil, fmt.Errorf("read the log in %s: %w", c.Dir, err)
	}
	if cl.identity, err = openIdentity(c.Dir, c.ID, known); err != nil {
		return nil, err
	}
	if err := cl.openNetwork(logger); err != nil {
		return nil, err
	}
	undo = append(undo, cl.closeNetwork)
	conf := raftConfig(c.ID, c.Timing, logger)
	if !known && c.BootstrapExpect <= 1 && len(c.Join) == 0 {
		if err := cl.beginAlone(conf, snapshots); err != nil {
			return nil, err
		}
	}
	cl.fsm = &fsm{catalog: c.Catalog, snapshots: snapshots, log: c.Logger, fatal: cl.fatal, closing: cl.ctx.Done(), before: c.faults.applying}
	if cl.raft, err = raft.NewRaft(conf, cl.fsm, cl.log, cl.log, snapshots, cl.transport); err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	undo = append(undo, func() error { return cl.raft.Shutdown().Error() })
	cl.collect, err = register(c.Registerer, cl)
	return cl, err
}

// openNetwork makes what raft and requests go over.
func (c *Cluster) openNetwork(logger *hclogger) error {
	if c.config.alone() {
		address, transport := raft.NewInmemTransportWithTimeout(raft.ServerAddress(c.id), 50*time.Millisecond)
		transport.Connect(address, transport)
		c.transport = transport
		return nil
	}
	host, err := advertisedHost(&c.config)
	if err != nil {
		return err
	}
	c.config.AdvertiseHost = host
	key, err := derive(c.config.Secret, purposeGossip)
	if err != nil {
		return err
	}
	if c.config.Certificates.given() {
		c.security.credentials, err = openCertFiles(c.config.Certificates, c.logger)
	} else {
		c.security.credentials, err = newIssuer(c.config.Secret, c.id, c.config.Timing.Certificate)
	}
	if err != nil {
		return err
	}
	c.wire = newWire(c.config.faults.dialer)
	if c.port, err = openPort(c.config.ClusterAddr, host, c.wire, c.logger); err != nil {
		return err
	}
	c.gossip = newGossip(c.id, key, c.logger)
	c.gossip.meta, c.gossip.judge = c.meta, c.judge
	s := &streams{lane: c.port.raft, cluster: c}
	c.port.tls, c.port.greet = c.security.server(), s.welcome
	c.transport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: s, MaxPool: raftPool, Timeout: raftWait, Logger: logger.Named("raft-net"),
		// No pipelines: in raft 1.8.0 one can stand still for good, when the follower refuses an
		// entry in the moment in which the next is sent. Then the follower gets nothing more from
		// this leader, and raft cannot be shut down.
		MaxRPCsInFlight: 1,
	})
	c.mux.Handle(newPeerHandler(c))
	c.server = newPeerServer(c.mux, c.logger)
	return c.checkMeta()
}

// closeNetwork lets go of what openNetwork made.
func (c *Cluster) closeNetwork() error {
	if c.port == nil {
		return nil
	}
	c.wire.cut()
	err := c.port.close()
	c.client.CloseIdleConnections()
	if t, ok := c.transport.(raft.WithClose); ok {
		err = errors.Join(err, t.Close())
	}
	return err
}

// beginAlone makes this node a cluster of its own.
func (c *Cluster) beginAlone(conf *raft.Config, snapshots raft.SnapshotStore) error {
	if err := c.identity.update(func(i *identity) error {
		i.Stage, i.Cluster = stageFounding, randomID()
		return nil
	}); err != nil {
		return err
	}
	members := raft.Configuration{Servers: []raft.Server{server(c.id)}}
	if err := raft.BootstrapCluster(conf, c.log, c.log, snapshots, c.transport, members); err != nil {
		return fmt.Errorf("begin a cluster in %s: %w", c.config.Dir, err)
	}
	return c.identity.update(func(i *identity) error {
		i.Stage = stageMember
		return nil
	})
}

// Handle answers the requests that other nodes make with HTTPClient, by the patterns of
// http.ServeMux: the caller is a node of this cluster, proven by its certificate. Call it
// before Start.
func (c *Cluster) Handle(pattern string, h http.Handler) { c.mux.Handle(pattern, h) }

// Start begins to talk to other nodes, and to take part in the group. Call it once.
func (c *Cluster) Start() error {
	c.work.Go(c.follow)
	c.work.Go(c.catchUp)
	if c.port != nil {
		c.port.work.Go(c.port.run)
		c.work.Go(func() { _ = c.server.Serve(c.port.http) })
		if err := c.gossip.start(c.config.GossipAddr, c.config.AdvertiseHost, c.config.Timing, c.config.faults); err != nil {
			return err
		}
		c.work.Go(c.findOthers)
		c.work.Go(c.found)
		c.work.Go(c.watchDisk)
	}
	c.hurry()
	return nil
}

// hurry makes a node that is the only voter lead at once, instead of waiting for a
// heartbeat that cannot come.
func (c *Cluster) hurry() {
	voters := 0
	for _, s := range c.servers() {
		if s.Suffrage == raft.Voter {
			voters++
			if string(s.ID) != c.id {
				return
			}
		}
	}
	if voters == 0 {
		return
	}
	c.work.Go(func() {
		self := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(c.id), Addr: []byte(c.id)}
		err := c.transport.TimeoutNow(raft.ServerID(c.id), raft.ServerAddress(c.id), &raft.TimeoutNowRequest{RPCHeader: self}, &raft.TimeoutNowResponse{})
		if err != nil {
			c.logger.Debug("the only voter waits for the usual time until it leads", "error", err)
		}
	})
}

// servers are the members of the group by the newest configuration that this node has.
func (c *Cluster) servers() []raft.Server { return c.raft.GetConfiguration().Configuration().Servers }

// Leader answers the id of the node that leads, if this node knows one.
func (c *Cluster) Leader() (id string, ok bool) {
	_, leader := c.raft.LeaderWithID()
	return string(leader), leader != ""
}

// Fatal tells once why this node must stop: its state machine cannot go on, its disk
// hangs, or it was removed from the cluster.
func (c *Cluster) Fatal() <-chan error { return c.fatal }

// fail says why this node must stop.
func (c *Cluster) fail(err error) {
	select {
	case c.fatal <- err:
	default:
	}
}
