package scanner

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"firescan/catalog"
	"firescan/keyspace"
	spb "firescan/scanner/scannerpb"
	"firescan/scanner/split"
)

const (
	// reportEvery is how long a node may keep its news to itself.
	reportEvery = 250 * time.Millisecond
	// lookAgain is how often a job looks whether a node has come, gone or failed to answer.
	lookAgain = 100 * time.Millisecond
	// patience is what an exchange may take beyond the time that it is given.
	patience = 2 * time.Second
	// assembling is how long a new sync waits for the nodes to answer.
	assembling = 100 * time.Millisecond
	// maxFailures is how many nodes may fail before the sync does.
	maxFailures = 2
)

// crew leads the nodes through one sync: it exchanges orders and reports with each, and
// owns the leases. All but the exchanges happens in run.
type crew struct {
	*job
	leases  leases
	alive   []string
	flights map[string]*flight
	landed  chan landing
	planned chan []split.PlannedRange

	began    time.Time
	settle   time.Time // when limbo is looked at next
	planning bool
	ready    bool // the plan is among the leases
	failures int
}

// flight is an exchange under way.
type flight struct {
	cancel  context.CancelFunc
	nudged  bool      // it was given up because there is something to say
	resting time.Time // until then nothing is sent: the last exchange failed
	landed  bool
}

// landing is how an exchange ended.
type landing struct {
	node   string
	report *spb.Report
	err    error
}

// nodeError is why a node failed to do its part.
type nodeError struct {
	node string
	*spb.Failure
}

func (e *nodeError) Error() string { return fmt.Sprintf("node %s: %s", e.node, e.Detail) }

func newCrew(j *job) *crew {
	now := time.Now()
	return &crew{
		job: j, began: now, settle: now,
		leases: leases{
			pageSize: split.PageSize, nodes: map[string]*lessee{}, before: recordedBy(j.sync),
			next: func() uint64 { return j.orders.Add(1) },
		},
		flights: map[string]*flight{}, landed: make(chan landing), planned: make(chan []split.PlannedRange, 1),
	}
}

// run leads until every key of the sync is in a recorded segment.
func (c *crew) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	c.look()
	for {
		if err := c.plan(ctx, &work); err != nil {
			return err
		}
		whole, err := c.whole()
		if whole || err != nil {
			return err
		}
		if c.ready {
			c.leases.decide()
		}
		c.dispatch(ctx, &work)
		standing := c.leases.standing()
		c.gauge.standing.Store(&standing)
		select {
		case l := <-c.landed:
			if err := c.land(l); err != nil {
				return err
			}
		case ranges := <-c.planned:
			c.leases.put(ranges...)
			c.ready = true
		case <-tick.C:
			c.look()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look sees which nodes have come, and which have not been heard of for too long.
func (c *crew) look() {
	now := time.Now()
	c.alive = c.Peers.Alive()
	for _, id := range c.alive {
		c.leases.join(id, now)
	}
	for _, id := range c.leases.expire(now, c.lease) {
		c.Logger.Warn("a node has not been heard of for too long; others list its ranges", "sync", c.sync.Id, "node", id)
		c.settle = time.Time{}
	}
}

// lease is how long a node may be silent. One that is not thought alive either is waited
// for no longer than it takes to be sure that messages were lost.
func (c *crew) lease(id string) time.Duration {
	if slices.Contains(c.alive, id) {
		return c.Lease
	}
	return c.Lease / 3
}

// plan begins to plan when the nodes have answered. For a sync that this leader has seen
// begin, those that are slow to answer can hold nothing yet; else they may hold anything.
func (c *crew) plan(ctx context.Context, work *sync.WaitGroup) error {
	if c.planning {
		return nil
	}
	wait := assembling
	if c.inherited {
		wait = c.Lease
	}
	streams, missing := 0, false
	for _, n := range c.leases.members() {
		streams += n.streams
		missing = missing || !n.known && slices.Contains(c.alive, n.id)
	}
	if streams == 0 || missing && time.Since(c.began) < wait {
		return nil
	}
	c.planning = true
	recorded, err := c.recorded()
	if err != nil {
		return err
	}
	remaining := keyspace.RangeSet{c.space()}.Subtract(recorded).Subtract(c.leases.held())
	work.Go(func() {
		c.planned <- c.job.plan(ctx, remaining, streams)
	})
	return nil
}

// whole tells whether all is recorded. On the way it frees what a node had in hands and
// did not record.
func (c *crew) whole() (bool, error) {
	if !c.ready {
		return false, nil
	}
	idle := !c.leases.busy() && len(c.leases.free) == 0
	now := time.Now()
	if !idle && (len(c.leases.limbo) == 0 || now.Before(c.settle)) {
		return false, nil
	}
	recorded, err := c.recorded()
	if err != nil {
		return false, err
	}
	// A sync of very many segments is not read all the time.
	c.settle = time.Now().Add(max(reportEvery, 20*time.Since(now)))
	c.leases.settle(recorded)
	if !idle || len(c.leases.free) > 0 {
		return false, nil
	}
	left := keyspace.RangeSet{c.space()}.Subtract(recorded)
	c.leases.release(split.UnknownSize(left...))
	return len(left) == 0, nil
}

// recorded is what is in recorded segments.
func (c *crew) recorded() (done keyspace.RangeSet, err error) {
	err = c.Catalog.View(func(tx *catalog.Tx) error {
		segments, err := tx.Segments(c.sync.Id)
		for _, s := range segments {
			done = append(done, keyspace.NewRange(s.Start, s.End))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the recorded segments: %w", err)
	}
	return keyspace.NewRangeSet(done), nil
}

// dispatch sends each node its next order, unless one is under way. One that waits for
// news is given up when there is something to say.
func (c *crew) dispatch(ctx context.Context, work *sync.WaitGroup) {
	now := time.Now()
	for _, n := range c.leases.members() {
		f := c.flights[n.id]
		if f != nil && !f.landed {
			if !f.nudged && len(n.grants)+n.want > 0 {
				f.nudged = true
				f.cancel()
			}
			continue
		}
		if f != nil && now.Before(f.resting) || n.failed != nil {
			continue
		}
		if !slices.Contains(c.alive, n.id) && len(n.holds) == 0 {
			continue
		}
		c.send(ctx, work, n)
	}
}

func (c *crew) send(ctx context.Context, work *sync.WaitGroup, n *lessee) {
	o := c.leases.order(n)
	o.Org, o.SyncId, o.StartedIndex, o.Term = c.sync.Org, c.sync.Id, c.sync.StartedIndex, c.term
	wait := reportEvery
	if !n.known {
		wait = 0
	}
	o.WaitMs, o.Expected, o.Nodes = uint32(wait.Milliseconds()), c.expected(), c.holders()
	exchange, cancel := context.WithTimeout(ctx, wait+patience)
	c.flights[n.id] = &flight{cancel: cancel}
	work.Go(func() {
		defer cancel()
		report, err := c.Peers.Exchange(exchange, n.id, o)
		select {
		case c.landed <- landing{n.id, report, err}:
		case <-ctx.Done():
		}
	})
}

// land takes the answer of a node. What keeps it from its part may not keep others from
// it: then they get it.
func (c *crew) land(l landing) error {
	n, f := c.leases.nodes[l.node], c.flights[l.node]
	f.landed = true
	if l.err != nil {
		c.leases.unanswered(n)
		if !f.nudged {
			f.resting = time.Now().Add(lookAgain)
			c.Logger.Debug("a node could not be reached for its part of a sync", "sync", c.sync.Id, "node", n.id, "error", l.err)
		}
		return nil
	}
	c.leases.report(n, l.report, time.Now())
	if n.failed == nil {
		return nil
	}
	c.failures++
	err := &nodeError{n.id, n.failed}
	others := slices.ContainsFunc(c.leases.members(), func(o *lessee) bool {
		return o.failed == nil && slices.Contains(c.alive, o.id)
	})
	if !n.failed.Elsewhere || c.failures > maxFailures || !others {
		return err
	}
	c.Logger.Warn("a node cannot do its part of a sync; the others do it", "sync", c.sync.Id, "node", n.id, "error", err)
	c.settle = time.Time{}
	return nil
}

// holders is among how many nodes the bucket is shared now.
func (c *crew) holders() (n uint32) {
	for _, node := range c.leases.nodes {
		if len(node.holds)+len(node.grants) > 0 {
			n++
		}
	}
	return max(n, 1)
}

// expected reckons how many keys the whole sync is to list.
func (c *crew) expected() uint64 {
	s := c.leases.standing()
	return max(c.gauge.expected, s.listed.files+uint64(s.left))
}
