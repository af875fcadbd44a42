package scanner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	spb "firescan/scanner/scannerpb"
)

// A Worker lists ranges of buckets for the leader, classifies the files and seals them
// into segments of the local index. It is safe for concurrent use.
type Worker struct {
	node *nodeResources

	mu    sync.Mutex
	root  context.Context //nolint:containedctx // that of Run, nil while it does not run; parent of all scans
	term  uint64          // the newest known
	syncs map[string]*localSync
	work  sync.WaitGroup
}

// localSync is this node's part in a sync.
type localSync struct {
	mu sync.Mutex // held while an assignment is accepted
	// term and seq are those of the newest assignment.
	term, seq uint64
	scan      *scan // nil before the first assignment, and after a scan that ended without a failure
}

// isIdle reports whether no scan is running.
func (l *localSync) isIdle() bool {
	if !l.mu.TryLock() {
		return false
	}
	defer l.mu.Unlock()
	return l.scan == nil || l.scan.isDone()
}

// NewWorker returns a worker, which refuses all assignments until Run is called.
func NewWorker(c WorkerConfig) *Worker {
	if c.LeaderTimeout == 0 {
		c.LeaderTimeout = defaultLeaderTimeout
	}
	return &Worker{
		node: &nodeResources{
			config: c, slots: newRequestSlots(c.Streams), rates: rateShares{set: c.ShareRate},
			earlySeals: rate.NewLimiter(rate.Limit(earlySealRate*runtime.GOMAXPROCS(0)), earlySealRate),
		},
		syncs: map[string]*localSync{},
	}
}

// Node returns the id of the worker's node.
func (w *Worker) Node() string { return w.node.config.Node }

// Run runs the worker until ctx ends, and returns when all scans have stopped. Recorded
// segments remain.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	w.root = ctx
	w.mu.Unlock()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			w.dropEnded()
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	w.root = nil
	w.mu.Unlock()
	w.work.Wait()
	return context.Cause(ctx)
}

// dropEnded drops the syncs that have ended.
func (w *Worker) dropEnded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.node.config.Catalog.View(func(tx *catalog.Tx) error { // an error is retried in a second
		running, err := tx.RunningSyncs()
		if err != nil {
			return err
		}
		ended := map[string]bool{}
		for id := range w.syncs {
			ended[id] = true
		}
		for _, s := range running {
			delete(ended, s.Id)
		}
		for id := range ended {
			if w.syncs[id].isIdle() {
				delete(w.syncs, id)
			}
		}
		return nil
	})
}

// Exchange accepts an assignment and reports: at once when there is news for the leader
// (see scannerpb.Scan), else when the assignment's time is over. It returns ErrStale or
// ErrNotRunning; a failure of the scan is in the report.
func (w *Worker) Exchange(ctx context.Context, a *spb.Assignment) (*spb.StatusReport, error) {
	s, err := w.accept(ctx, a)
	if err != nil {
		return nil, err
	}
	return s.awaitReport(ctx, a)
}

// accept passes an assignment to its scan, which it starts when there is none.
func (w *Worker) accept(ctx context.Context, a *spb.Assignment) (*scan, error) {
	root, local, err := w.localSync(a)
	if err != nil {
		return nil, err
	}
	running, destination, err := w.awaitStart(ctx, a)
	if err != nil {
		return nil, err
	}
	local.mu.Lock()
	defer local.mu.Unlock()
	if a.Term < local.term || a.Term == local.term && a.Seq <= local.seq {
		return nil, fmt.Errorf("%w (assignment %d of term %d)", ErrStale, a.Seq, a.Term)
	}
	if local.scan != nil && local.scan.isStopping() {
		// A new scan must not start before the old one has released everything.
		select {
		case <-local.scan.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if local.scan.failure == nil {
			local.scan = nil
		}
	}
	local.term, local.seq = a.Term, a.Seq
	if local.scan == nil {
		s := newScan(root, w.node, running, destination) //nolint:contextcheck // it outlives the assignment
		w.work.Go(s.run)
		local.scan = s
	}
	local.scan.assign(a)
	return local.scan, nil
}

// localSync returns the context of Run and this node's part in the sync of an assignment,
// unless the assignment is of an older term.
func (w *Worker) localSync(a *spb.Assignment) (context.Context, *localSync, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.root == nil {
		return nil, nil, fmt.Errorf("%w: its worker is stopped", ErrNotRunning)
	}
	if a.Term < w.term {
		return nil, nil, fmt.Errorf("%w (term %d, this node knows of %d)", ErrStale, a.Term, w.term)
	}
	w.term = a.Term
	local := w.syncs[a.SyncId]
	if local == nil {
		local = &localSync{}
		w.syncs[a.SyncId] = local
	}
	return w.root, local, nil
}

// awaitStart waits until the catalog of this node has applied the start of the sync, and
// reads the sync and its destination.
func (w *Worker) awaitStart(ctx context.Context, a *spb.Assignment) (s *pb.Sync, d *pb.Destination, err error) {
	c := w.node.config.Catalog
	for {
		changed := c.Changed()
		if c.AppliedIndex() >= a.StartedIndex {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("wait for the start of sync %s at index %d: %w", a.SyncId, a.StartedIndex, context.Cause(ctx))
		}
	}
	err = c.View(func(tx *catalog.Tx) error {
		if s, err = tx.Sync(a.Org, a.SyncId); err != nil {
			return err
		}
		if s.FinishedAt != 0 {
			return fmt.Errorf("%w: sync %s is %s", ErrNotRunning, s.Id, s.Status)
		}
		d, err = tx.Destination(s.Org, s.DestinationId)
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) {
		err = fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	return s, d, err
}
