package scanner

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"firescan/keyspace"
	spb "firescan/scanner/scannerpb"
	"firescan/scanner/split"
)

// leases say which node has which part of a sync's key space. They are the leader's, in
// its memory only, and have one owner; time comes from outside.
//
// Invariant: what is free, granted to one node, held by another, and in limbo do not
// overlap unless a node broke its lease, and together with the recorded segments they
// cover the key space.
type leases struct {
	pageSize float64
	// next numbers the orders.
	next  func() uint64
	nodes map[string]*lessee
	// free is nobody's, in order.
	free []split.PlannedRange
	// limbo has left the hands of a node: it was recorded, or it is nobody's. Which, the
	// catalog tells.
	limbo keyspace.RangeSet
	// before counts what was recorded by none of the nodes that are known.
	before counts
}

// lessee is a node as its lessor knows it.
type lessee struct {
	id string
	// seq is that of the newest order.
	seq uint64
	// holds is what it may be listing: what it held in its newest report, and what it
	// was sent since.
	holds keyspace.RangeSet
	// grants and want are for the next order, asked is what the newest one wanted.
	grants []split.PlannedRange
	want   int
	asked  int
	// known is set while it answers; heard is when it did, or when it was first tried.
	known bool
	heard time.Time
	// failed is why it takes no part any more.
	failed *spb.Failure
	// idle is the number of streams without work, less what was granted since.
	streams, idle int
	left          float64
	tally         nodeTally
}

// join makes a node known; it is granted nothing before it has answered.
func (l *leases) join(id string, now time.Time) *lessee {
	n := l.nodes[id]
	if n == nil {
		n = &lessee{id: id, heard: now}
		l.nodes[id] = n
	}
	return n
}

// members lists the nodes in order of their ids.
func (l *leases) members() []*lessee {
	return slices.SortedFunc(maps.Values(l.nodes), func(a, b *lessee) int { return strings.Compare(a.id, b.id) })
}

// able lists the nodes that may be granted ranges.
func (l *leases) able() []*lessee {
	return slices.DeleteFunc(l.members(), func(n *lessee) bool { return !n.known || n.failed != nil })
}

// order makes the next order to a node out of what was decided for it.
func (l *leases) order(n *lessee) *spb.Order {
	n.seq = l.next()
	o := &spb.Order{Seq: n.seq, Want: uint32(n.want), Idle: uint32(n.idle), Grants: make([]*spb.Range, len(n.grants))}
	sent := make(keyspace.RangeSet, len(n.grants))
	for i, g := range n.grants {
		o.Grants[i], sent[i] = wireRange(g), g.Range
	}
	n.holds = n.holds.Union(sent...)
	n.grants, n.asked, n.want = nil, n.want, 0
	o.Busy = len(n.holds) > 0
	return o
}

// report takes the answer of a node to its newest order.
func (l *leases) report(n *lessee, r *spb.Report, now time.Time) {
	held := make([]keyspace.Range, len(r.Held))
	for i, h := range r.Held {
		held[i] = keyspace.NewRange(h.Start, h.End)
	}
	gone := n.holds
	n.holds = keyspace.NewRangeSet(held)
	gone = gone.Subtract(n.holds)
	n.known, n.heard, n.failed, n.asked = true, now, r.Failure, 0
	var given []split.PlannedRange
	var back []keyspace.Range
	for _, g := range r.Given {
		p := split.PlannedRange{Range: keyspace.NewRange(g.Start, g.End), Keys: g.Keys}
		if gone.Covers(p.Range) { // else it was taken back before
			given, back = append(given, p), append(back, p.Range)
		}
	}
	l.limbo = l.limbo.Union(gone.Subtract(keyspace.NewRangeSet(back))...)
	l.release(given)
	n.streams, n.idle, n.left = int(r.Streams), max(0, int(r.Idle)-len(n.grants)), r.Left
	if n.failed != nil {
		l.withdraw(n)
	}
	n.tally.add(r, &l.before)
}

// unanswered takes note that nobody knows whether the newest order has arrived.
func (l *leases) unanswered(n *lessee) { n.asked = 0 }

// expire takes back what was leased to nodes that have not answered for as long as their
// lease, and names them.
func (l *leases) expire(now time.Time, lease func(id string) time.Duration) (lost []string) {
	for _, n := range l.members() {
		if now.Sub(n.heard) < lease(n.id) {
			continue
		}
		if n.known || len(n.holds) > 0 {
			lost = append(lost, n.id)
		}
		l.withdraw(n)
		l.limbo = l.limbo.Union(n.holds...)
		n.holds, n.known = nil, false
		n.tally.lose()
	}
	return lost
}

// withdraw takes back what was decided for a node and not sent.
func (l *leases) withdraw(n *lessee) {
	l.put(n.grants...)
	n.grants, n.want, n.idle, n.left = nil, 0, 0, 0
}

// settle tells which segments are recorded: the rest of what is in limbo is free.
func (l *leases) settle(recorded keyspace.RangeSet) {
	lost := l.limbo.Subtract(recorded)
	l.limbo = nil
	l.release(split.UnknownSize(lost...))
}

// release makes free what of the ranges nobody has.
func (l *leases) release(plan []split.PlannedRange) {
	if len(plan) == 0 {
		return
	}
	var taken []keyspace.Range
	for _, n := range l.nodes {
		taken = append(taken, n.holds...)
		for _, g := range n.grants {
			taken = append(taken, g.Range)
		}
	}
	for _, f := range l.free {
		taken = append(taken, f.Range)
	}
	all := keyspace.NewRangeSet(taken)
	for _, p := range plan {
		for _, r := range (keyspace.RangeSet{p.Range}).Subtract(all) {
			l.free = append(l.free, split.PlannedRange{Range: r, Keys: p.Keys})
		}
	}
	l.put()
}

// put makes ranges free that nobody has.
func (l *leases) put(plan ...split.PlannedRange) {
	l.free = append(l.free, plan...)
	slices.SortFunc(l.free, func(a, b split.PlannedRange) int { return strings.Compare(a.Start, b.Start) })
}

// busy tells whether anything is leased.
func (l *leases) busy() bool {
	for _, n := range l.nodes {
		if len(n.holds)+len(n.grants) > 0 {
			return true
		}
	}
	return false
}

// held is what the nodes hold.
func (l *leases) held() (all keyspace.RangeSet) {
	for _, n := range l.nodes {
		all = all.Union(n.holds...)
	}
	return all
}

// decide grants what is free to the nodes with idle streams, each its part. When there
// is too little, the nodes with most left are asked to give some back.
func (l *leases) decide() {
	able := l.able()
	idle := 0
	for _, n := range able {
		idle += n.idle
	}
	for _, n := range able {
		if n.idle == 0 || len(l.free) == 0 {
			continue
		}
		k := (len(l.free)*n.idle + idle - 1) / idle
		idle -= n.idle
		n.grants = append(n.grants, l.take(k)...)
		n.idle = max(0, n.idle-k)
	}
	if len(l.free) == 0 {
		l.ask(able)
	}
}

// take takes k of the free ranges, spread over the key space: neighbours are alike, and
// so each node gets some of all kinds.
func (l *leases) take(k int) []split.PlannedRange {
	n := len(l.free)
	taken := make([]split.PlannedRange, 0, k)
	rest := l.free[:0]
	for i, p := range l.free {
		if i*k/n == (i+1)*k/n {
			rest = append(rest, p)
			continue
		}
		taken = append(taken, p)
	}
	clear(l.free[len(rest):])
	l.free = rest
	return taken
}

// ask wants ranges of the nodes that would have most left for each stream after it.
func (l *leases) ask(able []*lessee) {
	hungry := 0
	for _, n := range able {
		hungry += n.idle - n.want - n.asked
	}
	var rich []*lessee
	for _, n := range able {
		if n.want+n.asked == 0 && n.streams > 0 {
			rich = append(rich, n)
		}
	}
	each := func(n *lessee) float64 { return n.left / float64(n.streams+n.want) }
	for ; hungry > 0 && len(rich) > 0; hungry-- {
		most := slices.MaxFunc(rich, func(a, b *lessee) int { return cmp.Compare(each(a), each(b)) })
		if each(most) < l.pageSize {
			return
		}
		if hungry <= most.idle { // only itself: it needs nobody for that
			rich = slices.DeleteFunc(rich, func(n *lessee) bool { return n == most })
			hungry++
			continue
		}
		most.want++
	}
}

func wireRange(p split.PlannedRange) *spb.Range {
	return &spb.Range{Start: []byte(p.Start), End: []byte(p.End), Keys: p.Keys}
}
