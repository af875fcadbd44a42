// Package cluster makes the nodes agree: it replicates commands through Raft and
// tells which node leads. What a command does is the catalog's matter.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
)

// leaderWait bounds how long a request waits for a leader: an election takes less,
// and a client that waits longer would rather hear that there is none.
const leaderWait = 2500 * time.Millisecond

// barrierWait bounds how long a new leader waits for its turn to apply the log.
const barrierWait = 10 * time.Second

var (
	// ErrNoLeader is returned when no leader was found within some seconds: a
	// majority of the nodes is down or cut off. Nothing was written.
	ErrNoLeader = errors.New("no leader: a majority of the nodes is down or cannot be reached; try again shortly")
	// ErrUnknown is returned when the leadership was lost, or the caller gave up,
	// while a command was under way: it may be carried out yet, or not.
	ErrUnknown = errors.New("the command may or may not have been carried out")
	// ErrFull is returned while the disk has no room for what was committed before.
	// Nothing was written.
	ErrFull = errors.New("the disk of this node is full: nothing is written until there is room; free some")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the cluster is closed")
)

// Config is what Open needs.
type Config struct {
	// ID names this node; it must stay the same for its data directory.
	ID string
	// Dir holds the log and the metadata of snapshots.
	Dir string
	// Catalog is the state machine that committed commands are applied to.
	Catalog    *catalog.Catalog
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Cluster is this node's part in the group. It is safe for concurrent use.
type Cluster struct {
	id     string
	raft   *raft.Raft
	fsm    *fsm
	logger *slog.Logger

	verifier verifier
	fatal    chan error
	collect  func()        // takes the metrics out of the registry
	closing  chan struct{} // closed by stop
	stop     func()
	work     sync.WaitGroup
	log      *logStore

	mu sync.Mutex
	// term is this node's leadership, nil while it does not lead. It is set only
	// when all that earlier leaders committed is applied here.
	term    *term
	changed chan struct{} // closed when term changes
}

// term is one leadership of this node.
type term struct {
	number uint64
	ended  chan struct{}
	why    error // that it ended; read it only after
}

func (t *term) end(why error) {
	t.why = why
	close(t.ended)
}

// Open starts or resumes the node. A new data directory begins a group of one,
// which leads within a moment. Other members come by a network that this group of
// one does not need: no port is opened.
func Open(c Config) (_ *Cluster, err error) {
	logger := newLogger(c.Logger)
	log, err := openLog(filepath.Join(c.Dir, "log"), logger)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, log.Close())
		}
	}()
	snapshots, err := openSnapshots(c.Dir, c.Catalog)
	if err != nil {
		return nil, err
	}
	address, transport := raft.NewInmemTransport(raft.ServerAddress(c.ID))
	conf := config(c.ID, logger)
	known, err := raft.HasExistingState(log, log, snapshots)
	if err != nil {
		return nil, fmt.Errorf("read the log in %s: %w", c.Dir, err)
	}
	if !known {
		members := raft.Configuration{Servers: []raft.Server{{ID: conf.LocalID, Address: address}}}
		if err := raft.BootstrapCluster(conf, log, log, snapshots, transport, members); err != nil {
			return nil, fmt.Errorf("begin a cluster in %s: %w", c.Dir, err)
		}
	}
	if err := checkLog(c, log, snapshots); err != nil {
		return nil, err
	}
	cl := &Cluster{id: c.ID, logger: c.Logger, log: log, fatal: make(chan error, 1), changed: make(chan struct{}), closing: make(chan struct{})}
	cl.stop = sync.OnceFunc(func() { close(cl.closing) })
	cl.fsm = &fsm{catalog: c.Catalog, snapshots: snapshots, log: c.Logger, fatal: cl.fatal, closing: cl.closing}
	if cl.raft, err = raft.NewRaft(conf, cl.fsm, log, log, snapshots, transport); err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	if err := cl.checkMember(); err != nil {
		return nil, errors.Join(err, cl.raft.Shutdown().Error())
	}
	if cl.collect, err = register(c.Registerer, cl.raft); err != nil {
		return nil, errors.Join(err, cl.raft.Shutdown().Error())
	}
	cl.verifier.raft = cl.raft
	cl.work.Go(cl.follow)
	return cl, nil
}

// config holds the settings of raft, where they are not its own.
func config(id string, logger *hclogger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(id)
	c.Logger = logger.Named("raft")
	// A group of one has nobody to wait for: it leads after one to two of these.
	c.HeartbeatTimeout = 100 * time.Millisecond
	c.ElectionTimeout = 100 * time.Millisecond
	c.LeaderLeaseTimeout = 50 * time.Millisecond
	c.CommitTimeout = 10 * time.Millisecond
	// Many small commands become one write of the log and one of the catalog. That
	// bounds its size, too: 64 of the largest commands are 32 MiB.
	c.MaxAppendEntries = 64
	c.BatchApplyCh = true
	// The catalog's own file is as durable as the log: what it holds is not restored
	// over it, and a snapshot costs next to nothing.
	c.NoSnapshotRestoreOnStart = true
	// It is taken often, since entries may be half a megabyte each.
	c.SnapshotThreshold = 1024
	c.SnapshotInterval = 10 * time.Second
	c.TrailingLogs = 1024
	return c
}

// follow keeps term: it waits for each change of leadership until the cluster closes.
func (c *Cluster) follow() {
	var mine *term
	end := func(why error) {
		if mine != nil {
			mine.end(why)
			mine = nil
			c.setTerm(nil)
		}
	}
	defer func() { end(ErrClosed) }()
	// The channel may drop a signal, so that raft is asked again each second.
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		leads, number := c.raft.State() == raft.Leader, c.raft.CurrentTerm()
		// A term that was lost and won again between two looks is another one.
		if mine != nil && (!leads || mine.number != number) {
			c.logger.Info("this node no longer leads", "term", mine.number)
			end(ErrNoLeader)
		}
		if leads && mine == nil {
			// What earlier leaders committed is applied before anyone relies on it.
			if err := c.raft.Barrier(barrierWait).Error(); err != nil {
				c.logger.Warn("leadership was won and lost before the log was applied", "error", err)
			} else {
				mine = &term{number: number, ended: make(chan struct{})}
				c.setTerm(mine)
				c.logger.Info("this node leads", "term", number)
			}
		}
		select {
		case <-c.raft.LeaderCh():
		case <-tick.C:
		case <-c.closing:
			return
		}
	}
}

func (c *Cluster) setTerm(t *term) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term = t
	close(c.changed)
	c.changed = make(chan struct{})
}

// leads is the present term, nil when this node does not lead, and a channel that is
// closed when that changes.
func (c *Cluster) leads() (*term, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.term, c.changed
}

// leading waits for this node to lead, at most leaderWait.
func (c *Cluster) leading(ctx context.Context) error {
	timer := time.NewTimer(leaderWait)
	defer timer.Stop()
	for {
		t, changed := c.leads()
		if t != nil {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return ErrNoLeader
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Barrier answers nil when the catalog of this node holds all that was answered to
// any proposer before Barrier was called. It writes nothing to the log.
func (c *Cluster) Barrier(ctx context.Context) error {
	if err := c.leading(ctx); err != nil {
		return err
	}
	// A leader answers a proposer after it has applied the command itself, and it
	// has applied what came before its term. So all there is to prove is that it leads still.
	if err := c.verifier.verify(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w (%w)", ErrNoLeader, err)
	}
	return nil
}

// Lead runs fn whenever this node leads, with a context that ends when it no longer
// does, and again the next time, until ctx ends. An error of fn is logged, and fn run
// again after a second if the node still leads.
func (c *Cluster) Lead(ctx context.Context, fn func(context.Context) error) error {
	for ctx.Err() == nil {
		t, changed := c.leads()
		if t == nil {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		err := t.run(ctx, fn)
		select {
		case <-t.ended:
			<-changed // the term is taken back right after it has ended
			continue
		default:
		}
		if ctx.Err() == nil {
			c.logger.Error("the leader's work stopped; it is begun again in a second", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
}

// run runs fn with a context that ends with the term.
func (t *term) run(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-t.ended:
			cancel(t.why)
		case <-ctx.Done():
		}
	})
	return fn(ctx)
}

// Leader answers the id of the node that leads, if this node knows one.
func (c *Cluster) Leader() (id string, ok bool) {
	_, leader := c.raft.LeaderWithID()
	return string(leader), leader != ""
}

// Ready answers nil when this node knows a leader and has applied what it committed
// before.
func (c *Cluster) Ready() error {
	if t, _ := c.leads(); t == nil {
		return ErrNoLeader
	}
	return nil
}

// Fatal tells once why this node must stop: its state machine cannot go on.
func (c *Cluster) Fatal() <-chan error { return c.fatal }

// Close ends the leadership and closes the log. Commands under way end with ErrUnknown
// or ErrNoLeader.
func (c *Cluster) Close() error {
	c.stop()
	err := c.raft.Shutdown().Error()
	c.work.Wait()
	c.collect()
	return errors.Join(err, c.log.Close())
}
