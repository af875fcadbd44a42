package scanner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// lease is how long a node may be silent before its ranges are given to others.
const lease = 6 * time.Second

// maxJobs bounds the syncs at work at once; the others stand in the queue. Each
// keeps a segment open for each of its streams.
const maxJobs = 8

var (
	// errEnded is the cause when a job stops because its sync was ended by someone.
	errEnded = errors.New("the sync was cancelled")
	errStop  = errors.New("this node no longer coordinates syncs")
)

// Shards are the shards on this node and their copies on other nodes.
type Shards interface {
	// View returns a view of a destination's shard, which the caller releases.
	View(ctx context.Context, destination string) (*index.View, error)
	// Await waits until enough nodes hold all segments of a finished sync. It returns the
	// ids of the segments that no node has anymore; they must be listed again. The error is
	// catalog.ErrNoReplica when no node makes progress copying.
	Await(ctx context.Context, d *pb.Destination, syncID string) (lost []string, err error)
}

// CoordinatorConfig is what a Coordinator needs.
type CoordinatorConfig struct {
	Catalog   *catalog.Catalog
	Index     *index.Store
	Proposer  Proposer
	Buckets   Buckets
	Shards    Shards
	Peers     Peers
	Publisher Publisher
	// SyncEvery is how long after the start of its last sync, or after it was created,
	// a verified destination is synced; 0 is never.
	SyncEvery time.Duration
	// Lease is how long a node may be silent before its ranges are given to others; 0 is 6 s.
	Lease      time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Coordinator carries the syncs out that the catalog says are running. It is the
// leader's: what it knows beyond the catalog is lost with it, and found again by
// the next from the recorded segments.
type Coordinator struct {
	CoordinatorConfig
	metrics *metrics
	orders  atomic.Uint64 // that were made
}

// active is a job at work.
type active struct {
	sync   *pb.Sync
	cancel context.CancelCauseFunc
}

// NewCoordinator makes a coordinator and registers its metrics.
func NewCoordinator(c CoordinatorConfig) *Coordinator {
	if c.Lease == 0 {
		c.Lease = lease
	}
	return &Coordinator{CoordinatorConfig: c, metrics: newMetrics(c.Registerer)}
}

// Run coordinates until ctx ends, which it does when this node no longer leads; term is
// that of its leadership. It looks at the catalog again with every change and every
// second, so that no lost signal matters.
func (c *Coordinator) Run(ctx context.Context, term uint64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(errStop)
	jobs := map[string]active{}
	ended := make(chan string)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop(errStop)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	inherited, err := c.running()
	if err != nil {
		return err
	}
	for {
		changed := c.Catalog.Changed()
		running, err := c.running()
		if err != nil {
			return err
		}
		for id, job := range jobs {
			if running[id] == nil && !c.endedItself(job.sync) {
				job.cancel(errEnded)
			}
		}
		for id, s := range running {
			if _, has := jobs[id]; has || len(jobs) >= maxJobs {
				continue
			}
			jobCtx, cancel := context.WithCancelCause(ctx)
			jobs[id] = active{s, cancel}
			work.Go(func() {
				defer cancel(nil)
				newJob(c, s, term, inherited[id] != nil).run(jobCtx)
				select {
				case ended <- id:
				case <-ctx.Done():
				}
			})
		}
		c.metrics.running.Set(float64(len(jobs)))
		select {
		case <-changed:
		case id := <-ended:
			delete(jobs, id)
		case now := <-tick.C:
			if err := c.schedule(ctx, now); err != nil && ctx.Err() == nil {
				c.Logger.Warn("scheduled syncs could not be started; tried again in a second", "error", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *Coordinator) running() (map[string]*pb.Sync, error) {
	byID := map[string]*pb.Sync{}
	err := c.Catalog.View(func(tx *catalog.Tx) error {
		syncs, err := tx.RunningSyncs()
		for _, s := range syncs {
			byID[s.Id] = s
		}
		return err
	})
	return byID, err
}

// endedItself tells whether a sync that no longer runs has come to its own end, good or
// bad: then its job is about to see that, and needs no stopping.
func (c *Coordinator) endedItself(s *pb.Sync) (ended bool) {
	// What cannot be read is stopped, which loses nothing that was recorded.
	_ = c.Catalog.View(func(tx *catalog.Tx) error {
		now, err := tx.Sync(s.Org, s.Id)
		ended = err == nil && now.Status != catalog.SyncCancelled
		return nil
	})
	return ended
}

// schedule starts the syncs that are due.
func (c *Coordinator) schedule(ctx context.Context, now time.Time) error {
	if c.SyncEvery <= 0 {
		return nil
	}
	var due []*pb.StartSync
	err := c.Catalog.View(func(tx *catalog.Tx) error {
		destinations, err := tx.AllDestinations()
		if err != nil {
			return err
		}
		for _, d := range destinations {
			last, err := tx.LastSync(d.Org, d.Id)
			if err != nil && !errors.Is(err, catalog.ErrNotFound) {
				return err
			}
			if d.Verified && !now.Before(nextSync(d, last, c.SyncEvery)) {
				due = append(due, &pb.StartSync{Org: d.Org, DestinationId: d.Id, SyncId: catalog.NewID(catalog.KindSync), At: now.UnixMilli()})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, start := range due {
		if _, err := c.Proposer.Propose(ctx, start); err != nil {
			return err
		}
	}
	return nil
}

// nextSync is when a verified destination is due; not at all while a sync runs. The
// first one is not hurried: before the catalog was fed, it would find only orphans.
func nextSync(d *pb.Destination, last *pb.Sync, every time.Duration) time.Time {
	if last == nil {
		return time.UnixMilli(d.CreatedAt).Add(every)
	}
	if last.FinishedAt == 0 {
		return time.Unix(1<<40, 0)
	}
	return time.UnixMilli(last.StartedAt).Add(every)
}
