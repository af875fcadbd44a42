package scanner

import (
	"context"
	"fmt"
	"sort"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/keyspace"
	"firescan/provider"
	"firescan/scanner/split"
)

const (
	// sealEvery is how long a stream gathers at most before it seals, so that a crash
	// costs no more than that of its work where pages come slowly.
	sealEvery = 2 * time.Second
	// sealShare is the part of all keys that the streams of a node may have gathered and
	// not sealed, all together, so that a crash costs no more than that where pages come
	// fast.
	sealShare = 0.01
	// sealMost is into how many segments the keys of a sync are sealed for that reason: each
	// is an open file as long as its generation is read.
	sealMost = 2000
	// sealFloor is the number of files that are worth a segment.
	sealFloor = 500
	// sealRate is how many segments a second and processor may be sealed for that reason:
	// each takes a processor most of a millisecond.
	sealRate = 50
)

// stream lists one range after the other until the scan ends.
func (s *scan) stream(ctx context.Context) error {
	l := lister{scan: s, classifier: classifier{destination: s.destination.Id}}
	defer l.abort()
	for {
		h, err := s.table.Next(ctx)
		if err != nil {
			return err
		}
		if err := l.list(ctx, h); err != nil {
			return err
		}
	}
}

// pagesPerTrim is after how many pages a stream looks whether the catalog has mapped
// much. The links of a page lie on some 20 pages of the file.
const pagesPerTrim = 2

// lister is one stream with its buffers, and the segment that it is building.
type lister struct {
	*scan
	classifier
	page provider.Page

	sealing      chan struct{} // closed when the segment before this one is sealed; nil when there was none
	writer       *index.Writer // nil until there is something to write
	id           string
	start        string // of the segment
	began        time.Time
	files        uint64
	pages        int    // of this stream
	classifiedAt uint64 // the catalog index before the segment's first page was asked for
}

// list lists a range page by page to its end, which may come nearer meanwhile, and
// seals what it found.
func (l *lister) list(ctx context.Context, h *split.Claim) error {
	l.begin(h.Remaining().Start)
	for {
		asked := h.Remaining()
		if err := l.fetch(ctx, asked); err != nil {
			return err
		}
		objects := l.page.Objects
		next := ""
		if l.page.More {
			next = l.page.Next
		}
		upTo, more := h.Advance(asked, next, len(objects), func(i int) []byte { return objects[i].Key })
		if upTo != "" {
			n := sort.Search(len(objects), func(i int) bool { return string(objects[i].Key) >= upTo })
			objects = objects[:n]
		}
		if err := l.take(objects, asked.Start, upTo); err != nil {
			return err
		}
		if !more {
			return l.seal(ctx, upTo)
		}
		if l.due() {
			if err := l.seal(ctx, upTo); err != nil {
				return err
			}
			l.begin(upTo)
		}
	}
}

// due tells whether what was gathered is to be sealed before the next page.
func (l *lister) due() bool {
	switch {
	case l.files >= split.MaxSegmentFiles:
		return true
	case l.files == 0:
		return false
	case time.Since(l.began) > sealEvery:
		return true
	}
	all := float64(l.expected.Load())
	share := max(sealFloor, all*sealShare/float64(l.Streams), all/sealMost, float64(l.unsealed.Load())/float64(l.Streams))
	return all > 0 && float64(l.files) >= share && !l.busy() && l.early.Allow()
}

// busy tells whether the last segment is still being sealed.
func (l *lister) busy() bool {
	if l.sealing == nil {
		return false
	}
	select {
	case <-l.sealing:
		return false
	default:
		return true
	}
}

// fetch lists the next page, when it is this scan's turn.
func (l *lister) fetch(ctx context.Context, asked keyspace.Range) error {
	if err := l.turn.acquire(ctx); err != nil {
		return err
	}
	defer l.turn.release()
	if l.classifiedAt == 0 {
		// Before the list is made: a file that is deleted meanwhile may be told of in it, and
		// must be taken out again by the delta of its deletion.
		if err := l.Catalog.View(func(tx *catalog.Tx) error {
			l.classifiedAt = tx.AppliedIndex()
			return nil
		}); err != nil {
			return err
		}
	}
	err := l.bucket.List(ctx, provider.ListRequest{Prefix: l.prefix, Start: asked.Start, End: asked.End, Since: l.scan.began}, &l.page)
	if err != nil {
		return fmt.Errorf("list %s: %w", asked, err)
	}
	if provider.IsSerial(l.bucket) {
		// The page is part of a listing that may be as old as the scan.
		l.classifiedAt = l.appliedAtBegin
	}
	return nil
}

// take classifies the objects listed of [from, upTo) and adds them to the segment.
func (l *lister) take(objects []provider.Object, from, upTo string) error {
	err := l.Catalog.View(func(tx *catalog.Tx) error {
		pitr, err := tx.PitrPrefixes(l.bucketID)
		if err != nil {
			return err
		}
		return l.classifier.page(tx.Links(l.bucketID), pitr, objects, []byte(from), []byte(upTo))
	})
	if err != nil {
		return fmt.Errorf("look up the links of a page: %w", err)
	}
	if l.writer == nil && len(l.entries)+len(l.missing) > 0 {
		l.writer, err = l.Index.NewSegment(l.scan.destination.Id, l.id, []byte(l.start))
		if err != nil {
			return fmt.Errorf("begin a segment: %w", err)
		}
	}
	var size, orphans uint64
	for i := range l.entries {
		e := &l.entries[i]
		if err := l.writer.Add(e); err != nil {
			return fmt.Errorf("write a segment: %w", err)
		}
		size += uint64(e.Size)
		if !e.Linked {
			orphans++
		}
	}
	for _, m := range l.missing {
		if err := l.writer.AddMissing(m); err != nil {
			return fmt.Errorf("write a segment: %w", err)
		}
	}
	// A scan reads the links of the whole bucket once.
	if l.pages++; l.pages%pagesPerTrim == 0 {
		l.Catalog.Trim()
	}
	l.files += uint64(len(l.entries))
	l.unsealed.Add(int64(len(l.entries)))
	l.listed.files.Add(uint64(len(l.entries)))
	l.listed.bytes.Add(size)
	l.listed.orphans.Add(orphans)
	return nil
}

// begin makes ready for a segment that starts at a key.
func (l *lister) begin(start string) {
	l.unsealed.Add(-int64(l.files))
	l.writer, l.id, l.start, l.began = nil, catalog.NewSegmentID(l.sync.Id), start, time.Now()
	l.files, l.classifiedAt = 0, 0
}

// seal ends the segment at a key, and has it built and recorded while the stream goes
// on; it waits for the segment before. A range without files and without missing records
// needs no file; the fact that it is empty is enough.
func (l *lister) seal(ctx context.Context, end string) error {
	fact := &pb.Segment{
		Id: l.id, Start: []byte(l.start), End: endKey(end), ClassifiedAt: l.classifiedAt, Node: l.Node,
	}
	writer := l.writer
	if writer == nil {
		return l.recorder.record(ctx, fact)
	}
	if l.sealing != nil {
		<-l.sealing
	}
	l.writer = nil
	done := make(chan struct{})
	l.sealing = done
	l.group.Go(func() error {
		defer close(done)
		info, err := writer.Seal(fact.End, fact.ClassifiedAt)
		if err != nil {
			return fmt.Errorf("seal a segment: %w", err)
		}
		fact.Files, fact.Bytes = info.Stats.Files(), info.Stats.Bytes()
		fact.Orphans, fact.Missing = info.Stats.OrphanFiles(), uint64(info.Missing)
		fact.Checksum, fact.FileSize = info.Checksum, uint64(info.FileSize)
		return l.recorder.record(ctx, fact)
	})
	return nil
}

// abort drops an unfinished segment.
func (l *lister) abort() {
	if l.writer != nil {
		if err := l.writer.Abort(); err != nil {
			l.Logger.Warn("an unfinished segment could not be removed; it is swept at the next start", "segment", l.id, "error", err)
		}
	}
}

// endKey is the end of a range as the index and the catalog have it: nil is no bound.
func endKey(end string) []byte {
	if end == "" {
		return nil
	}
	return []byte(end)
}
