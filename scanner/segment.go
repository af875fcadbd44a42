package scanner

import (
	"context"
	"fmt"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/scanner/split"
)

const (
	// sealEvery is how long a stream collects files before it seals, so that a crash costs
	// no more of its work where pages are slow.
	sealEvery = 2 * time.Second
	// maxUnsealedPart is the part of all keys that the streams of a node may hold unsealed,
	// so that a crash costs no more where pages are fast.
	maxUnsealedPart = 0.01
	// maxEarlySegments is the most segments of a sync that are sealed for that reason: each
	// is an open file as long as its generation is read.
	maxEarlySegments = 2000
	// minEarlyFiles is the least number of files in a segment sealed for that reason.
	minEarlyFiles = 500
	// earlySealRate is the most segments per second and processor that are sealed for that
	// reason: each takes most of a millisecond.
	earlySealRate = 50
)

// A segmentBuilder collects the files that one stream lists into segments.
type segmentBuilder struct {
	scan *scan

	sealing      chan struct{} // closed when the previous segment is sealed; nil when there was none
	writer       *index.Writer // nil until there is something to write
	id           string
	start        string
	began        time.Time
	files        uint64
	missing      missingBackups
	classifiedAt uint64 // the catalog index before the first page was requested
}

// begin starts a segment at a key.
func (b *segmentBuilder) begin(start string) {
	b.scan.unsealed.Add(-int64(b.files))
	b.writer, b.id, b.start, b.began = nil, catalog.NewSegmentID(b.scan.sync.Id), start, time.Now()
	b.files, b.classifiedAt, b.missing = 0, 0, missingBackups{}
}

// noteIndex stores the catalog index of the first page. It must be called before the page
// is listed: a file that is deleted meanwhile may be in the page, and the delta of its
// deletion must apply to it.
func (b *segmentBuilder) noteIndex() error {
	if b.classifiedAt != 0 {
		return nil
	}
	return b.scan.node.config.Catalog.View(func(tx *catalog.Tx) error {
		b.classifiedAt = tx.AppliedIndex()
		return nil
	})
}

// add adds the files and the missing records of a page.
func (b *segmentBuilder) add(entries []index.Entry, missing []index.Missing) (err error) {
	if b.writer == nil && len(entries)+len(missing) > 0 {
		b.writer, err = b.scan.node.config.Index.NewSegment(b.scan.destination.Id, b.id, []byte(b.start))
		if err != nil {
			return fmt.Errorf("create a segment: %w", err)
		}
	}
	listed := counters{files: uint64(len(entries))}
	for i := range entries {
		e := &entries[i]
		if err := b.writer.Add(e); err != nil {
			return fmt.Errorf("write a segment: %w", err)
		}
		listed.bytes += uint64(e.Size)
		if !e.Linked {
			listed.orphans++
		}
	}
	for _, m := range missing {
		if err := b.writer.AddMissing(m); err != nil {
			return fmt.Errorf("write a segment: %w", err)
		}
		b.missing.add(m)
	}
	b.files += listed.files
	b.scan.unsealed.Add(int64(listed.files))
	b.scan.listed.add(listed)
	return nil
}

// isDue reports whether the segment is to be sealed before the next page.
func (b *segmentBuilder) isDue() bool {
	switch {
	case b.files >= split.MaxSegmentFiles:
		return true
	case b.files == 0:
		return false
	case time.Since(b.began) > sealEvery:
		return true
	}
	s := b.scan
	all, streams := float64(s.expected.Load()), float64(s.node.config.Streams)
	share := max(minEarlyFiles, all*maxUnsealedPart/streams, all/maxEarlySegments, float64(s.unsealed.Load())/streams)
	return all > 0 && float64(b.files) >= share && !b.isSealing() && s.node.earlySeals.Allow()
}

// isSealing reports whether the previous segment is still being sealed.
func (b *segmentBuilder) isSealing() bool {
	if b.sealing == nil {
		return false
	}
	select {
	case <-b.sealing:
		return false
	default:
		return true
	}
}

// seal ends the segment at a key and seals and records it in the background; it waits for
// the previous segment. A range without files and missing records needs no file.
func (b *segmentBuilder) seal(ctx context.Context, end string) error {
	segment := &pb.Segment{
		Id: b.id, Start: []byte(b.start), ClassifiedAt: b.classifiedAt, Node: b.scan.node.config.Node,
	}
	if end != "" { // nil is unbounded
		segment.End = []byte(end)
	}
	writer := b.writer
	if writer == nil {
		return b.scan.recorder.record(ctx, segment)
	}
	if b.sealing != nil {
		<-b.sealing
	}
	segment.Missing, segment.MissingIds = b.missing.count, b.missing.named()
	b.writer = nil
	done := make(chan struct{})
	b.sealing = done
	b.scan.group.Go(func() error {
		defer close(done)
		info, err := writer.Seal(segment.End, segment.ClassifiedAt)
		if err != nil {
			return fmt.Errorf("seal a segment: %w", err)
		}
		segment.Files, segment.Bytes = info.Stats.Files(), info.Stats.Bytes()
		segment.Orphans = info.Stats.OrphanFiles()
		segment.Checksum, segment.FileSize = info.Checksum, uint64(info.FileSize)
		return b.scan.recorder.record(ctx, segment)
	})
	return nil
}

// abort removes an unfinished segment.
func (b *segmentBuilder) abort() {
	if b.writer == nil {
		return
	}
	if err := b.writer.Abort(); err != nil {
		b.scan.node.config.Logger.Warn("removing an unfinished segment failed; it is removed at the next start", "segment", b.id, "error", err)
	}
}
