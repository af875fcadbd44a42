package scanner

import (
	"sync/atomic"

	spb "firescan/scanner/scannerpb"
)

// counters count what was listed.
type counters struct{ files, bytes, orphans uint64 }

func countersFrom(c *spb.Counts) counters {
	return counters{c.GetFiles(), c.GetBytes(), c.GetOrphans()}
}

func (c counters) proto() *spb.Counts {
	return &spb.Counts{Files: c.files, Bytes: c.bytes, Orphans: c.orphans}
}

func (c counters) plus(o counters) counters {
	return counters{c.files + o.files, c.bytes + o.bytes, c.orphans + o.orphans}
}

// minus returns c - o, at least 0.
func (c counters) minus(o counters) counters {
	return counters{c.files - min(c.files, o.files), c.bytes - min(c.bytes, o.bytes), c.orphans - min(c.orphans, o.orphans)}
}

func (c counters) max(o counters) counters {
	return counters{max(c.files, o.files), max(c.bytes, o.bytes), max(c.orphans, o.orphans)}
}

// atomicCounters are safe for concurrent use.
type atomicCounters struct{ files, bytes, orphans atomic.Uint64 }

func (c *atomicCounters) add(o counters) {
	c.files.Add(o.files)
	c.bytes.Add(o.bytes)
	c.orphans.Add(o.orphans)
}

func (c *atomicCounters) load() counters {
	return counters{c.files.Load(), c.bytes.Load(), c.orphans.Load()}
}

// workerCounters count what one worker has listed of a sync over all its runs. What it
// had not recorded when it was lost is listed again by others, and counts once.
type workerCounters struct {
	isKnown          bool
	run              uint64
	past             counters // recorded by earlier runs
	listed, recorded counters // by this run
	done, total      int      // ranges
	keysLeft         float64
}

// update adds a status report. before counts what was recorded by no known worker.
func (c *workerCounters) update(r *spb.StatusReport, before *counters) {
	recorded := countersFrom(r.Recorded)
	switch {
	case !c.isKnown:
		*before = before.minus(recorded)
	case c.run != r.Run:
		c.past = c.past.plus(c.recorded)
	}
	c.isKnown, c.run = true, r.Run
	c.listed, c.recorded = countersFrom(r.Listed), recorded
	c.done, c.total, c.keysLeft = int(r.RangesDone), int(r.RangesTotal), r.KeysLeft
}

// dropUnrecorded forgets what the worker has listed and not recorded.
func (c *workerCounters) dropUnrecorded() {
	c.listed, c.keysLeft = c.recorded, 0
	c.total = c.done
}

func (c *workerCounters) allListed() counters { return c.past.plus(c.listed) }
