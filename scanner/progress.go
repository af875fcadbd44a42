package scanner

import (
	"sync/atomic"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// Progress is how far a sync is.
type Progress struct {
	Org, DestinationID, SyncID string
	// Status is that of the sync: running, completed, failed or cancelled.
	Status                     string
	FilesScanned, BytesScanned uint64
	OrphanFiles                uint64
	// Percent, 0 to 100, never falls. A later scan expects the files of the last
	// generation; a first one what the densities of the ranges tell, page by page.
	Percent float64
	// FilesPerSecond is the mean since the start.
	FilesPerSecond float64
	// ETASeconds is negative while it cannot be told.
	ETASeconds              float64
	RangesDone, RangesTotal int
	Nodes                   []string
}

// tellingPercent is from where on a first scan tells the time that is left.
const tellingPercent = 25

// Publisher tells the world how syncs go on. It must not block.
type Publisher interface {
	Publish(Progress)
}

// standing is how far the nodes have come, all together.
type standing struct {
	listed      counts
	left        float64 // keys, as reckoned
	done, total int     // ranges
	nodes       []string
}

// gauge turns where a sync stands into its progress.
type gauge struct {
	sync    *pb.Sync
	started time.Time
	// before is what had been listed when the job began.
	before counts
	// expected is how many files the last generation has; 0 when there is none.
	expected uint64
	standing atomic.Pointer[standing] // nil before the nodes are at work

	// What was told last: neither falls when a node is lost with what it had listed.
	told    counts
	percent float64
}

func (g *gauge) progress(status string, now time.Time) Progress {
	p := Progress{
		Org: g.sync.Org, DestinationID: g.sync.DestinationId, SyncID: g.sync.Id, Status: status,
		ETASeconds: -1,
	}
	listed := g.before
	s := g.standing.Load()
	if s != nil {
		listed = s.listed
		p.Nodes, p.RangesDone, p.RangesTotal = s.nodes, s.done, s.total
	}
	g.told = counts{max(g.told.files, listed.files), max(g.told.bytes, listed.bytes), max(g.told.orphans, listed.orphans)}
	p.FilesScanned, p.BytesScanned, p.OrphanFiles = g.told.files, g.told.bytes, g.told.orphans
	if secs := now.Sub(g.started).Seconds(); secs > 0 {
		p.FilesPerSecond = float64(p.FilesScanned-min(p.FilesScanned, g.before.files)) / secs
	}
	if s != nil {
		left := s.left
		if p.FilesScanned < g.expected {
			left = float64(g.expected - p.FilesScanned)
		}
		if done := float64(p.FilesScanned); done > 0 {
			// Not 100 before the generation is promoted.
			g.percent = max(g.percent, min(100*done/(done+left), 99.9))
		}
		// What a first scan reckons from its first pages is no ground for a promise.
		if p.FilesPerSecond > 0 && (g.expected > 0 || g.percent >= tellingPercent) {
			p.ETASeconds = left / p.FilesPerSecond
		}
	}
	p.Percent = g.percent
	return p
}

// completed is the last progress of a sync that was promoted, as the catalog has it.
func (g *gauge) completed(s *pb.Sync, now time.Time) Progress {
	p := g.progress(catalog.SyncCompleted, now)
	p.FilesScanned, p.BytesScanned, p.OrphanFiles = s.FilesScanned, s.BytesScanned, s.OrphanFiles
	p.Percent, p.ETASeconds = 100, 0
	return p
}
