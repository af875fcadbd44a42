package scanner

import (
	"context"
	"slices"
	"sync"
	"time"

	"firescan/keyspace"
	spb "firescan/scanner/scannerpb"
	"firescan/scanner/split"
)

const (
	// reportEvery is how long a node may delay a report without news.
	reportEvery = 250 * time.Millisecond
	// refreshEvery is how often the dispatcher checks which nodes have come or gone, and the
	// delay before a failed call is retried.
	refreshEvery = 100 * time.Millisecond
	// callMargin is added to the time of an assignment to get the timeout of its call.
	callMargin = 2 * time.Second
	// joinTimeout is how long a new sync waits for the first reports of the nodes.
	joinTimeout = 100 * time.Millisecond
	// maxFailures is the number of nodes that may fail before the sync does.
	maxFailures = 2
)

// A dispatcher leads the nodes through one sync: it exchanges assignments and status
// reports with each, and owns the leases. Everything but the calls happens in run.
type dispatcher struct {
	job     *job
	leases  leases
	alive   []string
	calls   map[string]*call // the newest by node
	results chan result
	planned chan []split.PlannedRange

	started    time.Time
	confirmAt  time.Time // when unconfirmed ranges are looked up next
	isPlanning bool
	isPlanned  bool // the plan is in the leases
	failures   int
}

// A call is one exchange with a node.
type call struct {
	cancel      context.CancelFunc
	interrupted bool      // it was cancelled because there is something to send
	retryAt     time.Time // no call before that: this one failed
	done        bool
}

// A result is the end of a call.
type result struct {
	node   string
	report *spb.StatusReport
	err    error
}

func newDispatcher(j *job) *dispatcher {
	now := time.Now()
	return &dispatcher{
		job: j, started: now, confirmAt: now,
		leases: leases{
			pageSize: split.PageSize, workers: map[string]*workerState{}, before: j.recordedCounters(),
			nextSeq: j.nextSeq,
		},
		calls: map[string]*call{}, results: make(chan result), planned: make(chan []split.PlannedRange, 1),
	}
}

// run returns when every key of the sync is in a recorded segment.
func (d *dispatcher) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	d.refresh()
	for {
		if err := d.startPlanning(ctx, &work); err != nil {
			return err
		}
		complete, err := d.isComplete()
		if complete || err != nil {
			return err
		}
		if d.isPlanned {
			d.leases.balance()
		}
		d.dispatch(ctx, &work)
		d.job.tracker.newest.Store(d.leases.snapshot())
		select {
		case r := <-d.results:
			if err := d.handle(r); err != nil {
				return err
			}
		case ranges := <-d.planned:
			d.leases.add(ranges...)
			d.isPlanned = true
		case <-tick.C:
			d.refresh()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// refresh adds nodes that have come, and expires leases.
func (d *dispatcher) refresh() {
	now := time.Now()
	d.alive = d.job.config.Peers.Alive()
	for _, id := range d.alive {
		d.leases.join(id, now)
	}
	for _, id := range d.leases.expire(now, d.lease) {
		d.job.config.Logger.Warn("the lease of a node has expired; other nodes list its ranges", "sync", d.job.sync.Id, "node", id)
		d.confirmAt = time.Time{}
	}
}

// lease returns how long a node may be silent: less for one that gossip reports as down.
func (d *dispatcher) lease(id string) time.Duration {
	if d.isAlive(id) {
		return d.job.config.Lease
	}
	return d.job.config.Lease / 3
}

func (d *dispatcher) isAlive(id string) bool { return slices.Contains(d.alive, id) }

// startPlanning starts to plan when the nodes have reported. For a sync that began under
// this leader, slow nodes can hold nothing yet; for an inherited one they may hold
// anything.
func (d *dispatcher) startPlanning(ctx context.Context, work *sync.WaitGroup) error {
	if d.isPlanning {
		return nil
	}
	wait := joinTimeout
	if d.job.inherited {
		wait = d.job.config.Lease
	}
	streams, missing := 0, false
	for _, w := range d.leases.sorted() {
		streams += w.streams
		missing = missing || !w.isKnown && d.isAlive(w.id)
	}
	if streams == 0 || missing && time.Since(d.started) < wait {
		return nil
	}
	d.isPlanning = true
	recorded, err := d.job.recordedRanges()
	if err != nil {
		return err
	}
	remaining := keyspace.RangeSet{d.job.space()}.Subtract(recorded).Subtract(d.leases.held())
	work.Go(func() {
		d.planned <- d.job.plan(ctx, remaining, streams)
	})
	return nil
}

// isComplete reports whether everything is recorded. It makes ranges pending that a node
// no longer holds and did not record.
func (d *dispatcher) isComplete() (bool, error) {
	if !d.isPlanned {
		return false, nil
	}
	idle := !d.leases.leased() && len(d.leases.pending) == 0
	now := time.Now()
	if !idle && (len(d.leases.unconfirmed) == 0 || now.Before(d.confirmAt)) {
		return false, nil
	}
	recorded, err := d.job.recordedRanges()
	if err != nil {
		return false, err
	}
	// Reading takes at most a twentieth of the time, also with very many segments.
	d.confirmAt = time.Now().Add(max(reportEvery, 20*time.Since(now)))
	d.leases.confirm(recorded)
	if !idle || len(d.leases.pending) > 0 {
		return false, nil
	}
	left := keyspace.RangeSet{d.job.space()}.Subtract(recorded)
	d.leases.release(split.UnknownSize(left...))
	return len(left) == 0, nil
}

// dispatch calls each node without a call in flight. A call that waits for news is
// cancelled when there is something to send.
func (d *dispatcher) dispatch(ctx context.Context, work *sync.WaitGroup) {
	now := time.Now()
	for _, w := range d.leases.sorted() {
		c := d.calls[w.id]
		if c != nil && !c.done {
			if !c.interrupted && len(w.grants)+w.want > 0 {
				c.interrupted = true
				c.cancel()
			}
			continue
		}
		if c != nil && now.Before(c.retryAt) || w.failure != nil {
			continue
		}
		if !d.isAlive(w.id) && len(w.held) == 0 {
			continue
		}
		d.send(ctx, work, w)
	}
}

// send sends a node its next assignment.
func (d *dispatcher) send(ctx context.Context, work *sync.WaitGroup, w *workerState) {
	j := d.job
	a := d.leases.assignment(w)
	a.Org, a.SyncId, a.StartedIndex, a.Term = j.sync.Org, j.sync.Id, j.sync.StartedIndex, j.term
	wait := reportEvery
	if !w.isKnown {
		wait = 0
	}
	s := d.leases.snapshot()
	a.WaitMs, a.Nodes = uint32(wait.Milliseconds()), uint32(max(d.leases.holders(), 1))
	a.Expected = max(j.tracker.expected, s.listed.files+uint64(s.keysLeft))
	exchange, cancel := context.WithTimeout(ctx, wait+callMargin)
	d.calls[w.id] = &call{cancel: cancel}
	work.Go(func() {
		defer cancel()
		report, err := j.config.Peers.Exchange(exchange, w.id, a)
		select {
		case d.results <- result{w.id, report, err}:
		case <-ctx.Done():
		}
	})
}

// handle handles the end of a call. Some failures of a node do not concern the others,
// which then take over its part.
func (d *dispatcher) handle(r result) error {
	w, c := d.leases.workers[r.node], d.calls[r.node]
	log := d.job.config.Logger.With("sync", d.job.sync.Id, "node", w.id)
	c.done = true
	if r.err != nil {
		w.asked = 0 // it is unknown whether the assignment has arrived
		if !c.interrupted {
			c.retryAt = time.Now().Add(refreshEvery)
			log.Debug("a call to a node failed; retrying", "error", r.err)
		}
		return nil
	}
	d.leases.renew(w, r.report, time.Now())
	if w.failure == nil {
		return nil
	}
	d.failures++
	err := &nodeError{w.id, w.failure}
	others := slices.ContainsFunc(d.leases.sorted(), func(o *workerState) bool {
		return o.failure == nil && d.isAlive(o.id)
	})
	if !w.failure.Elsewhere || d.failures > maxFailures || !others {
		return err
	}
	log.Warn("a node failed in a sync; other nodes list its ranges", "error", err)
	d.confirmAt = time.Time{}
	return nil
}
