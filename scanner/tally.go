package scanner

import (
	spb "firescan/scanner/scannerpb"
)

// counts is how much was listed.
type counts struct{ files, bytes, orphans uint64 }

func countsOf(c *spb.Counts) counts { return counts{c.GetFiles(), c.GetBytes(), c.GetOrphans()} }

func (c counts) wire() *spb.Counts {
	return &spb.Counts{Files: c.files, Bytes: c.bytes, Orphans: c.orphans}
}

func (c counts) plus(o counts) counts {
	return counts{c.files + o.files, c.bytes + o.bytes, c.orphans + o.orphans}
}

// minus is c less o, but not below nothing.
func (c counts) minus(o counts) counts {
	return counts{c.files - min(c.files, o.files), c.bytes - min(c.bytes, o.bytes), c.orphans - min(c.orphans, o.orphans)}
}

// nodeTally counts what one node has listed of a sync, run after run. What it had not
// recorded when it was lost is listed again by others, and counts once.
type nodeTally struct {
	seen             bool
	run              uint64
	past             counts // of earlier runs, recorded
	listed, recorded counts // of this run
	done, total      int    // ranges
	left             float64
}

// add takes a report. before is what was recorded by nobody who is known.
func (t *nodeTally) add(r *spb.Report, before *counts) {
	recorded := countsOf(r.Recorded)
	switch {
	case !t.seen:
		*before = before.minus(recorded)
	case t.run != r.Run:
		t.past = t.past.plus(t.recorded)
	}
	t.seen, t.run = true, r.Run
	t.listed, t.recorded = countsOf(r.Listed), recorded
	t.done, t.total, t.left = int(r.RangesDone), int(r.RangesTotal), r.Reckoned
}

// lose takes note that what the node has not recorded is lost.
func (t *nodeTally) lose() {
	t.listed, t.left = t.recorded, 0
	t.total = t.done
}

func (t *nodeTally) all() counts { return t.past.plus(t.listed) }

// standing sums up what the nodes have done and have left.
func (l *leases) standing() standing {
	s := standing{listed: l.before, total: len(l.free)}
	for _, n := range l.members() {
		t := &n.tally
		s.listed = s.listed.plus(t.all())
		s.left += t.left
		s.done += t.done
		s.total += t.total
		if t.total > 0 {
			s.nodes = append(s.nodes, n.id)
		}
	}
	for _, p := range l.free {
		s.left += max(p.Keys, l.pageSize)
	}
	return s
}
