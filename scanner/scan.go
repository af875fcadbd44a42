package scanner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
	"firescan/provider"
	spb "firescan/scanner/scannerpb"
	"firescan/scanner/split"
)

// lookAround is how often a scan looks whether it is still wanted.
const lookAround = 250 * time.Millisecond

// scan is one run of a node's part in a sync: what its streams share.
type scan struct {
	*Worker
	sync        *pb.Sync
	destination *pb.Destination
	bucket      provider.Bucket
	bucketID    string
	prefix      string
	run         uint64
	changed     catalog.Signal // with every page, idle stream and end
	table       *split.RangeQueue
	turn        *turn
	recorder    recorder
	group       *errgroup.Group

	began          time.Time
	appliedAtBegin uint64 // the catalog index before the scan began

	listed   tally
	expected atomic.Uint64   // keys of the whole sync, 0 is unknown
	unsealed atomic.Int64    // keys that the streams have gathered and not sealed
	root     context.Context //nolint:containedctx // that of the worker: a scan outlives the order that began it
	ctx      context.Context //nolint:containedctx // ends with the scan
	cancel   context.CancelCauseFunc
	done     chan struct{} // closed when nothing more of it is at work
	failure  *spb.Failure  // why it ended, nil when it may begin anew; read it only after done

	mu sync.Mutex
	// owed is what was granted, and neither recorded nor given back.
	owed     keyspace.RangeSet
	recorded counts
	heard    time.Time
}

// tally counts what a scan has listed. It is safe for concurrent use.
type tally struct{ files, bytes, orphans atomic.Uint64 }

func (t *tally) counts() counts { return counts{t.files.Load(), t.bytes.Load(), t.orphans.Load()} }

// begin starts a scan that holds nothing yet.
func (w *Worker) begin(root context.Context, running *pb.Sync, d *pb.Destination) *scan {
	start, _ := catalog.KeySpace(d)
	s := &scan{
		Worker: w, sync: running, destination: d, bucketID: catalog.BucketID(d), prefix: string(start),
		run: rand.Uint64(), turn: w.slots.newTurn(),
		root: root, done: make(chan struct{}), heard: time.Now(),
	}
	s.table = split.NewRangeQueue(split.PageSize, &s.changed)
	s.recorder = recorder{scan: s, queue: make(chan *pb.Segment, w.Streams)}
	s.ctx, s.cancel = context.WithCancelCause(root)
	w.work.Go(s.work)
	return s
}

// work lists what is granted until the scan is stopped or fails.
func (s *scan) work() {
	defer close(s.done)
	err := s.list()
	s.cancel(err)
	s.paces.claim(s.destination, s.run, 0)
	s.mu.Lock()
	held := len(s.owed) > 0
	s.owed = nil
	s.mu.Unlock()
	log := s.Logger.With("sync", s.sync.Id, "destination", s.destination.Id)
	switch {
	case errors.Is(err, errSilent) && !held: // the leader has no more need of it
	case errors.Is(err, errSilent), errors.Is(err, errLost):
		log.Warn("this node gives up its part of a sync; what it recorded stays", "error", err)
	case errors.Is(err, errEnded), s.root.Err() != nil:
	default:
		log.Error("this node cannot do its part of a sync", "error", err)
		s.failure = &spb.Failure{Reason: reason(err), Detail: err.Error(), Elsewhere: elsewhere(err)}
	}
	s.changed.Broadcast()
}

func (s *scan) list() (err error) {
	if s.bucket, err = s.Buckets.Open(s.ctx, s.destination); err != nil {
		return fmt.Errorf("open the bucket of destination %s: %w", s.destination.Id, err)
	}
	if err := s.Catalog.View(func(tx *catalog.Tx) error {
		s.appliedAtBegin = tx.AppliedIndex()
		return nil
	}); err != nil {
		return err
	}
	s.began = time.Now()
	group, ctx := errgroup.WithContext(s.ctx)
	s.group = group
	group.Go(func() error { return s.recorder.run(ctx) })
	group.Go(func() error { return s.watch(ctx) })
	for range s.Streams {
		group.Go(func() error { return s.stream(ctx) })
	}
	return group.Wait()
}

// watch ends the scan when the sync has ended, or nothing is heard of the leader.
func (s *scan) watch(ctx context.Context) error {
	tick := time.NewTicker(min(lookAround, s.Silence/4))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.mu.Lock()
		quiet := time.Since(s.heard)
		s.mu.Unlock()
		if quiet > s.Silence {
			return fmt.Errorf("%w for %v", errSilent, quiet.Round(time.Millisecond))
		}
		if !s.running() {
			return errEnded
		}
	}
}

// running tells whether the catalog of this node has the sync as running.
func (s *scan) running() (running bool) {
	_ = s.Catalog.View(func(tx *catalog.Tx) error { // what cannot be read has not ended
		now, err := tx.Sync(s.sync.Org, s.sync.Id)
		running = err == nil && now.FinishedAt == 0 || err != nil && !errors.Is(err, catalog.ErrNotFound)
		return nil
	})
	return running
}

func (s *scan) stopping() bool { return s.ctx.Err() != nil }

func (s *scan) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// obey takes an order's grants.
func (s *scan) obey(o *spb.Order) {
	if o.Nodes > 0 {
		s.paces.claim(s.destination, s.run, o.Nodes)
	}
	if o.Expected > 0 {
		s.expected.Store(o.Expected)
	}
	plan := make([]split.PlannedRange, len(o.Grants))
	granted := make(keyspace.RangeSet, len(o.Grants))
	for i, g := range o.Grants {
		granted[i] = keyspace.NewRange(g.Start, g.End)
		plan[i] = split.PlannedRange{Range: granted[i], Keys: g.Keys}
	}
	s.mu.Lock()
	s.heard = time.Now()
	s.owed = s.owed.Union(granted...)
	s.mu.Unlock()
	if len(plan) > 0 {
		s.table.Add(plan)
	}
}

// answer reports when something matters to the leader, or the order's time is over.
func (s *scan) answer(ctx context.Context, o *spb.Order) (*spb.Report, error) {
	timer := time.NewTimer(time.Duration(o.WaitMs) * time.Millisecond)
	defer timer.Stop()
	for {
		changed := s.changed.Wait()
		if s.ended() {
			return s.report(o, nil), nil
		}
		given := s.give(int(o.Want))
		if len(given) > 0 || s.matters(o) {
			return s.report(o, given), nil
		}
		select {
		case <-changed:
		case <-s.done:
		case <-timer.C:
			return s.report(o, nil), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *scan) matters(o *spb.Order) bool {
	if s.table.Spare(s.Streams) > int(o.Idle) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.Busy && len(s.owed) == 0
}

// give gives ranges back that others could list.
func (s *scan) give(n int) []split.PlannedRange {
	given := s.table.GiveBack(n, s.Streams)
	gone := make([]keyspace.Range, len(given))
	for i, g := range given {
		gone[i] = g.Range
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = s.owed.Subtract(keyspace.NewRangeSet(gone))
	return given
}

func (s *scan) report(o *spb.Order, given []split.PlannedRange) *spb.Report {
	estimate := s.table.Estimate()
	listed := s.listed.counts()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &spb.Report{
		Seq: o.Seq, Run: s.run, Left: estimate.Load, Reckoned: estimate.KeysLeft,
		Streams: uint32(s.Streams), Idle: uint32(s.table.Spare(s.Streams)),
		RangesDone: uint32(estimate.RangesDone), RangesTotal: uint32(estimate.RangesTotal),
		Listed: listed.wire(), Recorded: s.recorded.wire(),
		Held: make([]*spb.Range, len(s.owed)), Given: make([]*spb.Range, len(given)),
	}
	for i, h := range s.owed {
		r.Held[i] = wireRange(split.PlannedRange{Range: h})
	}
	for i, g := range given {
		r.Given[i] = wireRange(g)
	}
	if s.ended() {
		r.Failure, r.Held, r.Left, r.Reckoned, r.Idle = s.failure, nil, 0, 0, 0
	}
	return r
}

// settled takes note that segments are in the catalog.
func (s *scan) settled(segments []*pb.Segment) {
	done := make([]keyspace.Range, len(segments))
	s.mu.Lock()
	for i, g := range segments {
		done[i] = keyspace.NewRange(g.Start, g.End)
		s.recorded = s.recorded.plus(counts{g.Files, g.Bytes, g.Orphans})
	}
	s.owed = s.owed.Subtract(keyspace.NewRangeSet(done))
	end := len(s.owed) == 0
	s.mu.Unlock()
	if end {
		s.changed.Broadcast()
	}
}
