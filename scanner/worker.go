package scanner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
	spb "firescan/scanner/scannerpb"
)

// silence is how long a node goes on without an order. An election fits in, so that a
// change of leaders interrupts nobody.
const silence = 8 * time.Second

var (
	// ErrStale is returned for an order of a leader that was replaced, or one that a
	// later order has overtaken.
	ErrStale = errors.New("the order is stale: a later one, or one of a later leader, has come")
	// ErrNotRunning is returned when the node's catalog does not know the sync as
	// running, and by a worker that is not run or stops.
	ErrNotRunning = errors.New("the sync is not running here")

	// errSilent and errLost end a scan that may begin anew with the next order.
	errSilent = errors.New("nothing was heard of the leader")
	errLost   = errors.New("another node has recorded what this one was listing: its lease has expired")
)

// Proposer brings a command into the catalog. It answers when the command is
// applied on this node, or says why it is not.
type Proposer interface {
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// Buckets opens the bucket of a destination with its stored credentials.
type Buckets interface {
	Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error)
}

// WorkerConfig is what a Worker needs.
type WorkerConfig struct {
	// Node is the name of this node in the facts that it proposes.
	Node    string
	Catalog *catalog.Catalog
	Index   *index.Store
	// Streams bounds the list requests under way at once, all scans together.
	Streams  int
	Proposer Proposer
	Buckets  Buckets
	// Pace makes this node take but a part (0 to 1) of the rate at which the bucket of a
	// destination may be called. Nil when there is no rate to share.
	Pace   func(d *pb.Destination, part float64)
	Logger *slog.Logger
	// Silence is how long a scan goes on without an order of the leader; 0 is 8 s.
	Silence time.Duration
}

// Worker lists ranges of buckets as the leader orders, classifies what it finds and
// seals it into segments of the local index. It is safe for concurrent use.
type Worker struct {
	WorkerConfig
	slots *slots
	paces paces
	// early bounds the segments that are sealed lest much be lost in a crash.
	early *rate.Limiter

	mu    sync.Mutex
	root  context.Context //nolint:containedctx // that of Run, nil while it does not run; scans live in it
	term  uint64          // the newest that was heard of
	syncs map[string]*engagement
	work  sync.WaitGroup
}

// engagement is this node's part in one sync.
type engagement struct {
	mu sync.Mutex // held while an order is carried out
	// term and seq are those of the newest order.
	term, seq uint64
	scan      *scan // nil before the first order, and after one that ended without a failure
}

// over tells whether nothing is at work for the sync.
func (e *engagement) over() bool {
	if !e.mu.TryLock() {
		return false
	}
	defer e.mu.Unlock()
	return e.scan == nil || e.scan.ended()
}

// NewWorker makes a worker; it refuses all orders until it is run.
func NewWorker(c WorkerConfig) *Worker {
	if c.Silence == 0 {
		c.Silence = silence
	}
	return &Worker{
		WorkerConfig: c, slots: newSlots(c.Streams), paces: paces{set: c.Pace},
		early: rate.NewLimiter(rate.Limit(sealRate*runtime.GOMAXPROCS(0)), sealRate),
		syncs: map[string]*engagement{},
	}
}

// Run lets the worker work until ctx ends. It answers when all scans have stopped; what
// they had recorded stays.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	w.root = ctx
	w.mu.Unlock()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			w.forget()
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	w.root = nil
	w.mu.Unlock()
	w.work.Wait()
	return context.Cause(ctx)
}

// forget drops the syncs that have ended.
func (w *Worker) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.Catalog.View(func(tx *catalog.Tx) error { // looked at again in a second
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
			if w.syncs[id].over() {
				delete(w.syncs, id)
			}
		}
		return nil
	})
}

// Exchange carries an order out and reports. It answers at once when something matters
// to the leader (see scannerpb.Order), else when the order's time is over. Errors:
// ErrStale, ErrNotRunning; what goes wrong in the scan itself is in the report.
func (w *Worker) Exchange(ctx context.Context, o *spb.Order) (*spb.Report, error) {
	s, err := w.accept(ctx, o)
	if err != nil {
		return nil, err
	}
	return s.answer(ctx, o)
}

// accept brings an order to its scan, which it begins when there is none.
func (w *Worker) accept(ctx context.Context, o *spb.Order) (*scan, error) {
	w.mu.Lock()
	root := w.root
	if root == nil {
		w.mu.Unlock()
		return nil, fmt.Errorf("%w: this node is not at work", ErrNotRunning)
	}
	if newest := w.term; o.Term < newest {
		w.mu.Unlock()
		return nil, fmt.Errorf("%w (term %d, this node has heard of %d)", ErrStale, o.Term, newest)
	}
	w.term = o.Term
	e := w.syncs[o.SyncId]
	if e == nil {
		e = &engagement{}
		w.syncs[o.SyncId] = e
	}
	w.mu.Unlock()

	running, destination, err := w.look(ctx, o)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.Term < e.term || o.Term == e.term && o.Seq <= e.seq {
		return nil, fmt.Errorf("%w (order %d of term %d)", ErrStale, o.Seq, o.Term)
	}
	if e.scan != nil && e.scan.stopping() {
		// A new one must not begin before the old one has let go of all.
		select {
		case <-e.scan.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if e.scan.failure == nil {
			e.scan = nil
		}
	}
	e.term, e.seq = o.Term, o.Seq
	if e.scan == nil {
		e.scan = w.begin(root, running, destination) //nolint:contextcheck // it outlives the order
	}
	e.scan.obey(o)
	return e.scan, nil
}

// look waits until the catalog of this node has come to the start of the sync, and reads
// it.
func (w *Worker) look(ctx context.Context, o *spb.Order) (s *pb.Sync, d *pb.Destination, err error) {
	for {
		changed := w.Catalog.Changed()
		if w.Catalog.AppliedIndex() >= o.StartedIndex {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("wait for the start of sync %s at index %d: %w", o.SyncId, o.StartedIndex, context.Cause(ctx))
		}
	}
	err = w.Catalog.View(func(tx *catalog.Tx) error {
		if s, err = tx.Sync(o.Org, o.SyncId); err != nil {
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
