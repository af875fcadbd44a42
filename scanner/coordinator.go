package scanner

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// maxJobs bounds the syncs that run at once; the others wait. Each keeps a segment open
// for each of its streams.
const maxJobs = 8

// A Coordinator runs the syncs that the catalog says are running. It runs on the leader:
// its state beyond the catalog is lost with it, and rebuilt by the next one from the
// recorded segments and the reports of the workers.
type Coordinator struct {
	config  CoordinatorConfig
	metrics *metrics
	seq     atomic.Uint64 // of the newest assignment
}

// activeJob is a job that runs.
type activeJob struct {
	sync   *pb.Sync
	cancel context.CancelCauseFunc
}

// NewCoordinator returns a coordinator and registers its metrics.
func NewCoordinator(c CoordinatorConfig) *Coordinator {
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	return &Coordinator{config: c, metrics: newMetrics(c.Registerer)}
}

// Run coordinates until ctx ends, which it does when this node loses the leadership of
// term. It reads the catalog again with every change and every second, so that no lost
// signal matters.
func (c *Coordinator) Run(ctx context.Context, term uint64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(errNotLeader)
	jobs := map[string]activeJob{}
	ended := make(chan string)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop(errNotLeader)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	inherited, err := c.runningSyncs()
	if err != nil {
		return err
	}
	nextSeq := func() uint64 { return c.seq.Add(1) }
	for {
		changed := c.config.Catalog.Changed()
		running, err := c.runningSyncs()
		if err != nil {
			return err
		}
		for id, job := range jobs {
			if running[id] == nil && c.isCancelled(job.sync) {
				job.cancel(errSyncEnded)
			}
		}
		for id, s := range running {
			if _, has := jobs[id]; has || len(jobs) >= maxJobs {
				continue
			}
			jobCtx, cancel := context.WithCancelCause(ctx)
			jobs[id] = activeJob{s, cancel}
			work.Go(func() {
				defer cancel(nil)
				newJob(&c.config, nextSeq, s, term, inherited[id] != nil).run(jobCtx, c.metrics)
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
			if err := startDueSyncs(ctx, &c.config, now); err != nil && ctx.Err() == nil {
				c.config.Logger.Warn("starting scheduled syncs failed; retrying in a second", "error", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// runningSyncs returns the running syncs by id.
func (c *Coordinator) runningSyncs() (map[string]*pb.Sync, error) {
	byID := map[string]*pb.Sync{}
	err := c.config.Catalog.View(func(tx *catalog.Tx) error {
		syncs, err := tx.RunningSyncs()
		for _, s := range syncs {
			byID[s.Id] = s
		}
		return err
	})
	return byID, err
}

// isCancelled reports whether the job of a sync that no longer runs must be stopped. A
// sync that completed or failed was ended by its job; one that cannot be read is stopped,
// which loses nothing that was recorded.
func (c *Coordinator) isCancelled(s *pb.Sync) bool {
	var now *pb.Sync
	err := c.config.Catalog.View(func(tx *catalog.Tx) (err error) {
		now, err = tx.Sync(s.Org, s.Id)
		return err
	})
	return err != nil || now.Status == catalog.SyncCancelled
}
