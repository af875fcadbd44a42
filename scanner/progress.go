package scanner

import (
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

// gauge turns what a scan has done into its progress.
type gauge struct {
	sync    *pb.Sync
	node    string
	started time.Time
	// before, bytes and orphans count what an earlier run of the same sync had sealed.
	before, bytes, orphans uint64
	// expected is how many files the last generation has; 0 when there is none.
	expected uint64
	tally    *Tally
	percent  float64
}

func (g *gauge) progress(status string, now time.Time) Progress {
	files := g.tally.Files.Load()
	p := Progress{
		Org: g.sync.Org, DestinationID: g.sync.DestinationId, SyncID: g.sync.Id, Status: status,
		FilesScanned: g.before + files,
		BytesScanned: g.bytes + g.tally.Bytes.Load(),
		OrphanFiles:  g.orphans + g.tally.Orphans.Load(),
		ETASeconds:   -1,
		Nodes:        []string{g.node},
	}
	if secs := now.Sub(g.started).Seconds(); secs > 0 {
		p.FilesPerSecond = float64(files) / secs
	}
	if t := g.tally.table.Load(); t != nil {
		o := t.outlook()
		p.RangesDone, p.RangesTotal = o.done, o.total
		if p.FilesScanned < g.expected {
			o.left = float64(g.expected - p.FilesScanned)
		}
		if done := float64(p.FilesScanned); done > 0 {
			// Not 100 before the generation is promoted.
			g.percent = max(g.percent, min(100*done/(done+o.left), 99.9))
		}
		// What a first scan reckons from its first pages is no ground for a promise.
		if p.FilesPerSecond > 0 && (g.expected > 0 || g.percent >= tellingPercent) {
			p.ETASeconds = o.left / p.FilesPerSecond
		}
	}
	p.Percent = g.percent
	if status == catalog.SyncCompleted {
		p.Percent, p.ETASeconds = 100, 0
	}
	return p
}
