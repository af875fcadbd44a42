package scanner

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
	"firescan/provider"
	spb "firescan/scanner/scannerpb"
	"firescan/scanner/split"
)

// nodeResources are shared by the scans of one node.
type nodeResources struct {
	config WorkerConfig
	slots  *requestSlots
	rates  rateShares
	// earlySeals limits the segments that are sealed early to bound the cost of a crash.
	earlySeals *rate.Limiter
}

// A scan is one run of a node's part in a sync. Its streams share it.
type scan struct {
	node        *nodeResources
	sync        *pb.Sync
	destination *pb.Destination
	bucket      provider.Bucket
	bucketID    string
	prefix      string
	runID       uint64
	queue       *split.RangeQueue
	slots       *slotQueue
	recorder    recorder
	group       *errgroup.Group
	// began is the time of the first list, appliedAtBegin the catalog index before it.
	began          time.Time
	appliedAtBegin uint64
	// changed is broadcast when the leader may want a report.
	changed catalog.Signal

	listedOnce sync.Once // the first page was listed

	listed   atomicCounters
	expected atomic.Uint64   // keys of the whole sync; 0 is unknown
	unsealed atomic.Int64    // keys that the streams have collected and not sealed
	root     context.Context //nolint:containedctx // that of the worker: a scan outlives the assignment that started it
	ctx      context.Context //nolint:containedctx // ends with the scan
	cancel   context.CancelCauseFunc
	done     chan struct{} // closed when all its goroutines have ended
	failure  *spb.Failure  // why it ended, nil when it may start again; valid after done

	mu sync.Mutex
	// held is what was granted and is neither recorded nor given back.
	held     keyspace.RangeSet
	recorded counters
	lastSeen time.Time // the newest assignment
}

// newScan returns a scan without ranges.
func newScan(root context.Context, node *nodeResources, running *pb.Sync, d *pb.Destination) *scan {
	start, _ := catalog.KeySpace(d)
	s := &scan{
		node: node, sync: running, destination: d, bucketID: catalog.BucketID(d), prefix: string(start),
		runID: rand.Uint64(), slots: node.slots.newQueue(),
		root: root, done: make(chan struct{}), lastSeen: time.Now(),
	}
	s.queue = split.NewRangeQueue(split.PageSize, &s.changed)
	s.recorder = recorder{
		syncID: running.Id, proposer: node.config.Proposer, logger: node.config.Logger,
		queue: make(chan *pb.Segment, node.config.Streams), recorded: s.markRecorded,
		isIdle: func() bool { return s.spare() == node.config.Streams }, changed: &s.changed,
	}
	s.ctx, s.cancel = context.WithCancelCause(root)
	return s
}

func (s *scan) isStopping() bool { return s.ctx.Err() != nil }

func (s *scan) isDone() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// spare returns the number of streams with nothing to do.
func (s *scan) spare() int { return s.queue.Spare(s.node.config.Streams) }

// assign adds the ranges that an assignment grants.
func (s *scan) assign(a *spb.Assignment) {
	if a.Nodes > 0 {
		s.node.rates.update(s.destination, s.runID, a.Nodes)
	}
	if a.Expected > 0 {
		s.expected.Store(a.Expected)
	}
	plan := make([]split.PlannedRange, len(a.Grants))
	granted := make(keyspace.RangeSet, len(a.Grants))
	for i, g := range a.Grants {
		granted[i] = keyspace.NewRange(g.Start, g.End)
		plan[i] = split.PlannedRange{Range: granted[i], Keys: g.Keys}
	}
	s.mu.Lock()
	s.lastSeen = time.Now()
	s.held = s.held.Union(granted...)
	s.mu.Unlock()
	if len(plan) > 0 {
		s.queue.Add(plan)
	}
}

// awaitReport returns a report when there is news for the leader, or when the time of the
// assignment is over.
func (s *scan) awaitReport(ctx context.Context, a *spb.Assignment) (*spb.StatusReport, error) {
	timer := time.NewTimer(time.Duration(a.WaitMs) * time.Millisecond)
	defer timer.Stop()
	for {
		changed := s.changed.Wait()
		if s.isDone() {
			return s.report(a, nil), nil
		}
		returned := s.giveBack(int(a.Want))
		if len(returned) > 0 || s.hasNews(a) {
			return s.report(a, returned), nil
		}
		select {
		case <-changed:
		case <-s.done:
		case <-timer.C:
			return s.report(a, nil), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *scan) hasNews(a *spb.Assignment) bool {
	if s.spare() > int(a.Idle) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return a.Busy && len(s.held) == 0
}

// giveBack gives up to n ranges back to the leader.
func (s *scan) giveBack(n int) []split.PlannedRange {
	returned := s.queue.GiveBack(n, s.node.config.Streams)
	gone := make([]keyspace.Range, len(returned))
	for i, g := range returned {
		gone[i] = g.Range
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = s.held.Subtract(keyspace.NewRangeSet(gone))
	return returned
}

func (s *scan) report(a *spb.Assignment, returned []split.PlannedRange) *spb.StatusReport {
	estimate := s.queue.Estimate()
	listed := s.listed.load()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &spb.StatusReport{
		Seq: a.Seq, Run: s.runID, Load: estimate.Load, KeysLeft: estimate.KeysLeft,
		Streams: uint32(s.node.config.Streams), Idle: uint32(s.spare()),
		RangesDone: uint32(estimate.RangesDone), RangesTotal: uint32(estimate.RangesTotal),
		Listed: listed.proto(), Recorded: s.recorded.proto(),
		Held: make([]*spb.Range, len(s.held)), Returned: make([]*spb.Range, len(returned)),
	}
	for i, h := range s.held {
		r.Held[i] = protoRange(split.PlannedRange{Range: h})
	}
	for i, g := range returned {
		r.Returned[i] = protoRange(g)
	}
	if s.isDone() {
		r.Failure, r.Held, r.Load, r.KeysLeft, r.Idle = s.failure, nil, 0, 0, 0
	}
	return r
}

// markRecorded removes the ranges of recorded segments.
func (s *scan) markRecorded(segments []*pb.Segment) {
	done := make([]keyspace.Range, len(segments))
	s.mu.Lock()
	for i, g := range segments {
		done[i] = keyspace.NewRange(g.Start, g.End)
		s.recorded = s.recorded.plus(counters{g.Files, g.Bytes, g.Orphans})
	}
	s.held = s.held.Subtract(keyspace.NewRangeSet(done))
	isEmpty := len(s.held) == 0
	s.mu.Unlock()
	if isEmpty {
		s.changed.Broadcast()
	}
}
