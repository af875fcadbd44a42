package scanner

import (
	"sync/atomic"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// minETAPercent is the progress from which a first scan has an ETA. Estimates from its
// first pages are too rough.
const minETAPercent = 25

// Progress is the progress of a sync.
type Progress struct {
	Org, DestinationID, SyncID string
	// Status is that of the sync: running, completed, failed or cancelled.
	Status                     string
	FilesScanned, BytesScanned uint64
	OrphanFiles                uint64
	// Percent, 0 to 100, never falls. A later scan expects the files of the last
	// generation; a first one estimates them from the density of the ranges.
	Percent float64
	// FilesPerSecond is the mean since the start.
	FilesPerSecond float64
	// ETASeconds is negative while it is unknown.
	ETASeconds              float64
	RangesDone, RangesTotal int
	Nodes                   []string
	// Error is why the sync failed, for users; empty unless it has.
	Error string
}

// A snapshot sums up the counters of all workers.
type snapshot struct {
	listed      counters
	keysLeft    float64
	done, total int // ranges
	nodes       []string
}

// A progressTracker computes the progress of a sync.
type progressTracker struct {
	sync    *pb.Sync
	started time.Time
	// before counts what had been listed when the job started.
	before counters
	// expected is the number of files of the last generation; 0 when there is none.
	expected uint64
	newest   atomic.Pointer[snapshot] // nil before the workers start

	// The newest progress: it does not fall when a node is lost with files that it listed.
	listed  counters
	percent float64
}

func (t *progressTracker) progress(status string, now time.Time) Progress {
	p := Progress{
		Org: t.sync.Org, DestinationID: t.sync.DestinationId, SyncID: t.sync.Id, Status: status,
		ETASeconds: -1,
	}
	listed := t.before
	s := t.newest.Load()
	if s != nil {
		listed = s.listed
		p.Nodes, p.RangesDone, p.RangesTotal = s.nodes, s.done, s.total
	}
	t.listed = t.listed.max(listed)
	p.FilesScanned, p.BytesScanned, p.OrphanFiles = t.listed.files, t.listed.bytes, t.listed.orphans
	if secs := now.Sub(t.started).Seconds(); secs > 0 {
		p.FilesPerSecond = float64(p.FilesScanned-min(p.FilesScanned, t.before.files)) / secs
	}
	if s != nil {
		left := s.keysLeft
		if p.FilesScanned < t.expected {
			left = float64(t.expected - p.FilesScanned)
		}
		if done := float64(p.FilesScanned); done > 0 {
			// Not 100 before the generation is promoted.
			t.percent = max(t.percent, min(100*done/(done+left), 99.9))
		}
		if p.FilesPerSecond > 0 && (t.expected > 0 || t.percent >= minETAPercent) {
			p.ETASeconds = left / p.FilesPerSecond
		}
	}
	p.Percent = t.percent
	return p
}

// completed returns the last progress of a promoted sync, with the counts of the catalog.
func (t *progressTracker) completed(s *pb.Sync, now time.Time) Progress {
	p := t.progress(catalog.SyncCompleted, now)
	p.FilesScanned, p.BytesScanned, p.OrphanFiles = s.FilesScanned, s.BytesScanned, s.OrphanFiles
	p.Percent, p.ETASeconds = 100, 0
	return p
}
