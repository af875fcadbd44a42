package scanner

import (
	"cmp"
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"firescan/bench/bucketserver"
	"firescan/catalog"
	"firescan/keyspace"
	spb "firescan/scanner/scannerpb"
	"firescan/scanner/split"
)

// A simulated bucket, clock and network: queues and leases are driven as by the streams
// of the workers and the dispatcher of the leader, with one event per page and message.
// The unit of time is the latency of a page.

const (
	simDelay   = 0.02 // of a message between two nodes: 1 ms where a page takes 50
	simPoll    = 5.0  // the time of an assignment
	simJitter  = 0.1  // of a page, so that streams do not run in lockstep
	simLatency = 1 + simJitter/2
)

// A keySpace is the keys of a bucket in order. It need not store them.
type keySpace interface {
	size() int
	// rank returns the number of keys less than key.
	rank(key string) int
	key(i int) []byte
}

type sortedKeys []string

func (k sortedKeys) size() int           { return len(k) }
func (k sortedKeys) rank(key string) int { return sort.SearchStrings(k, key) }
func (k sortedKeys) key(i int) []byte    { return []byte(k[i]) }

type computedKeys struct{ *bucketserver.Keys }

func (k computedKeys) size() int           { return int(k.Len()) }
func (k computedKeys) rank(key string) int { return int(k.Rank([]byte(key))) }
func (k computedKeys) key(i int) []byte    { return k.AppendKey(nil, uint64(i)) }

type simResult struct {
	makespan    float64
	pages       int
	empty       int
	ranges      int
	assignments int
}

type simCluster struct {
	t      testing.TB
	keys   keySpace
	page   int
	rnd    *rand.Rand
	now    float64
	events simQueue
	leases leases
	nodes  []*simNode
	listed [][2]int // ranks
	simResult
}

// A simNode is a node with its queue and its newest assignment.
type simNode struct {
	*simCluster
	state   *workerState
	queue   *split.RangeQueue
	streams int
	free    int               // streams
	held    keyspace.RangeSet // ranges granted and neither listed nor given back
	newest  *spb.Assignment   // not reported on; nil when there is none
	seq     uint64
	// lost are ranges in lost messages, which the catalog would show.
	lost []*spb.Range
	// isReported is set when the newest assignment was reported on.
	isReported bool
}

func newSimCluster(t testing.TB, keys keySpace, nodes, streams int) *simCluster {
	t.Helper()
	c := &simCluster{t: t, keys: keys, page: 1000, rnd: rand.New(rand.NewPCG(1, 2))}
	if keys.size() < c.page {
		c.page = 3 // so that small key spaces have several pages
	}
	c.leases = leases{
		pageSize: float64(c.page), workers: map[string]*workerState{},
		nextSeq: func() uint64 { c.assignments++; return uint64(c.assignments) },
	}
	for i := range nodes {
		n := &simNode{simCluster: c, queue: split.NewRangeQueue(c.page, new(catalog.Signal)), streams: streams, free: streams, isReported: true}
		n.state = c.leases.join(fmt.Sprintf("node%02d", i), time.Time{})
		c.leases.renew(n.state, n.report(&spb.Assignment{}), time.Time{})
		c.nodes = append(c.nodes, n)
	}
	return c
}

// scan lists the ranges of a plan.
func (c *simCluster) scan(plan []split.PlannedRange) simResult {
	c.t.Helper()
	c.leases.add(plan...)
	c.dispatch()
	for c.events.Len() > 0 && (c.leases.leased() || len(c.leases.pending) > 0) {
		e := heap.Pop(&c.events).(simEvent)
		c.now = e.at
		e.do()
	}
	slices.SortFunc(c.listed, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	reached := 0
	for _, l := range c.listed {
		if l[0] != reached {
			c.t.Fatalf("key %q was listed twice or not at all: %v after %d", c.keys.key(min(l[0], reached)), l, reached)
		}
		reached = l[1]
	}
	if reached != c.keys.size() {
		c.t.Fatalf("%d of %d keys were listed", reached, c.keys.size())
	}
	return c.simResult
}

func (c *simCluster) after(wait float64, do func()) {
	heap.Push(&c.events, simEvent{c.now + wait, do})
}

// dispatch does what the dispatcher does after each message.
func (c *simCluster) dispatch() {
	c.leases.unconfirmed = nil // ranges that were not given back are recorded
	c.leases.balance()
	for _, n := range c.nodes {
		if !n.isReported && len(n.state.grants)+n.state.want == 0 {
			continue
		}
		n.isReported = false
		a := c.leases.assignment(n.state)
		c.after(simDelay, func() { n.accept(a) })
	}
}

// accept does what a worker does with an assignment.
func (n *simNode) accept(a *spb.Assignment) {
	if a.Seq <= n.seq { // two that were sent at once are reordered
		n.lost = append(n.lost, a.Grants...)
		return
	}
	n.newest, n.seq = a, a.Seq
	plan := make([]split.PlannedRange, len(a.Grants))
	for i, g := range a.Grants {
		plan[i] = split.PlannedRange{Range: keyspace.NewRange(g.Start, g.End), Keys: g.Keys}
		n.held = n.held.Union(plan[i].Range)
	}
	if len(plan) > 0 {
		n.queue.Add(plan)
	}
	n.assign()
	n.after(simPoll, func() {
		if n.newest == a {
			n.send(nil)
		}
	})
	n.reportNews()
}

// reportNews reports when there is news for the leader.
func (n *simNode) reportNews() {
	a := n.newest
	if a == nil {
		return
	}
	given := n.queue.GiveBack(int(a.Want), n.streams)
	for _, g := range given {
		n.held = n.held.Subtract(keyspace.RangeSet{g.Range})
	}
	n.assign()
	if len(given) > 0 || n.queue.Spare(n.streams) > int(a.Idle) || a.Busy && len(n.held) == 0 {
		n.send(given)
	}
}

func (n *simNode) send(given []split.PlannedRange) {
	r := n.report(n.newest)
	n.newest = nil
	for _, g := range given {
		r.Returned = append(r.Returned, protoRange(g))
	}
	n.after(simDelay, func() {
		if r.Seq != n.state.seq {
			n.lost = append(n.lost, r.Returned...)
			return
		}
		n.isReported = true
		n.leases.renew(n.state, r, time.Time{})
		n.leases.release(split.UnknownSize(rangesOf(n.lost)...))
		n.lost = nil
		n.dispatch()
	})
}

func (n *simNode) report(a *spb.Assignment) *spb.StatusReport {
	estimate := n.queue.Estimate()
	r := &spb.StatusReport{Seq: a.Seq, Load: estimate.Load, KeysLeft: estimate.KeysLeft, Streams: uint32(n.streams), Idle: uint32(n.queue.Spare(n.streams))}
	for _, h := range n.held {
		r.Held = append(r.Held, protoRange(split.PlannedRange{Range: h}))
	}
	return r
}

// assign gives the free streams work.
func (n *simNode) assign() {
	for n.free > 0 {
		c := n.queue.TryNext(n.free)
		if c == nil {
			return
		}
		n.free--
		n.list(c)
	}
}

// list lists a page.
func (n *simNode) list(c *split.Claim) {
	asked := c.Remaining()
	n.after(1+n.rnd.Float64()*simJitter, func() {
		lo := n.keys.rank(asked.Start)
		hi, next := min(lo+n.page, n.keys.size()), ""
		if hi < n.keys.size() && hi-lo == n.page {
			next = keyspace.After(string(n.keys.key(hi - 1)))
		}
		if asked.End != "" {
			if end := n.keys.rank(asked.End); end <= hi {
				hi, next = end, ""
			}
		}
		n.pages++
		if hi <= lo {
			n.empty++
			hi = lo
		}
		upTo, more := c.Advance(asked, next, hi-lo, func(i int) []byte { return n.keys.key(lo + i) })
		n.held = n.held.Subtract(keyspace.RangeSet{{Start: asked.Start, End: upTo}})
		if upTo != "" {
			hi = min(hi, max(lo, n.keys.rank(upTo)))
		}
		n.makespan = n.now
		if hi > lo {
			n.listed = append(n.listed, [2]int{lo, hi})
		}
		if more {
			n.list(c)
		} else {
			n.ranges++
			n.free++
		}
		n.assign()
		n.reportNews()
	})
}

// simKeys is the number of keys in TestSimulatedClusters; 1e9 takes half an hour.
var simKeys = flag.Float64("simkeys", 1e7, "keys in the simulation of clusters")

// TestSimulatedClusters lists a large key space with many nodes of 64 streams: first with
// only the folders known, then with the ranges of the last generation. Each key must be
// listed exactly once.
func TestSimulatedClusters(t *testing.T) {
	n := uint64(*simKeys)
	if testing.Short() {
		n = 1e6
	}
	for _, layout := range bucketserver.Layouts {
		keys, err := bucketserver.NewKeys(layout, n)
		if err != nil {
			t.Fatal(err)
		}
		space := computedKeys{keys}
		for _, c := range []struct {
			nodes int
			// first and again are the least parts of the ideal throughput, in percent, with at
			// least 10 M keys, which are only 8 pages per stream of 20 nodes.
			first, again float64
		}{{1, 82, 96}, {3, 74, 92}, {5, 65, 90}, {20, 32, 78}, {100, 0, 0}} {
			if n < 1e8 && c.nodes > 20 || raceEnabled && c.nodes > 3 {
				continue // minutes
			}
			t.Run(fmt.Sprintf("%s/%d", layout, c.nodes), func(t *testing.T) {
				t.Parallel()
				ideal := simLatency * float64(n) / 1000 / float64(c.nodes*64)
				for _, again := range []bool{false, true} {
					r := newSimCluster(t, space, c.nodes, 64).scan(simPlan(t, space, c.nodes*64, again))
					share := 100 * ideal / r.makespan
					t.Logf("again %v: %.1f page latencies, %.1f %% of ideal; %d lists (%d empty, %.1f %% too many), %d ranges, %d assignments",
						again, r.makespan, share, r.pages, r.empty, 100*(float64(r.pages)*1000/float64(n)-1), r.ranges, r.assignments)
					if n >= 1e7 && (!again && share < c.first || again && share < c.again) {
						t.Errorf("want %.0f and %.0f %%", c.first, c.again)
					}
				}
			})
		}
	}
}

// simPlan returns the plan of a first sync, or of a later one.
func simPlan(t testing.TB, keys keySpace, streams int, again bool) []split.PlannedRange {
	t.Helper()
	if !again {
		bucket := keyBucket{keys: keys, levels: &sync.Map{}}
		return split.FirstPlan(t.Context(), bucket, "", keyspace.Range{}, []keyspace.Range{{}}, streams)
	}
	n := split.Parts(uint64(keys.size()), streams)
	var cuts [][]byte
	for i := 1; i < n; i++ {
		cuts = append(cuts, keys.key(i*keys.size()/n))
	}
	return split.PlanByKeys([]keyspace.Range{{}}, cuts, float64(keys.size())/float64(n))
}

func rangesOf(wire []*spb.Range) (all keyspace.RangeSet) {
	for _, r := range wire {
		all = append(all, keyspace.NewRange(r.Start, r.End))
	}
	return keyspace.NewRangeSet(all)
}

type simEvent struct {
	at float64
	do func()
}

type simQueue []simEvent

func (q simQueue) Len() int           { return len(q) }
func (q simQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q simQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)        { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}
