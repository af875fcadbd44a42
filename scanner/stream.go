package scanner

import (
	"context"
	"fmt"
	"sort"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
)

// scan is one assignment in work: what its streams share.
type scan struct {
	*Worker
	Assignment
	recorder recorder
	table    *table
	tally    *Tally
	turn     *turn
	bucketID string
	prefix   string
}

// stream lists one range after the other until none is left.
func (s *scan) stream(ctx context.Context) error {
	l := lister{scan: s, classifier: classifier{destination: s.Destination.Id}}
	defer l.abort()
	for {
		h, err := s.table.next(ctx)
		if err != nil || h == nil {
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
func (l *lister) list(ctx context.Context, h *hold) error {
	l.begin(h.remaining().Start)
	for {
		asked := h.remaining()
		if err := l.fetch(ctx, asked); err != nil {
			return err
		}
		objects := l.page.Objects
		next := ""
		if l.page.More {
			next = l.page.Next
		}
		upTo, more := h.advance(asked, next, len(objects), func(i int) []byte { return objects[i].Key })
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
		if l.files >= sealAfter || l.files > 0 && time.Since(l.began) > sealEvery {
			if err := l.seal(ctx, upTo); err != nil {
				return err
			}
			l.begin(upTo)
		}
	}
}

// fetch lists the next page, when it is this scan's turn.
func (l *lister) fetch(ctx context.Context, asked Range) error {
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
	err := l.Bucket.List(ctx, provider.ListRequest{Prefix: l.prefix, Start: asked.Start, End: asked.End}, &l.page)
	if err != nil {
		return fmt.Errorf("list %s: %w", asked, err)
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
		l.writer, err = l.Index.NewSegment(l.Destination.Id, l.id, []byte(l.start))
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
	l.tally.Files.Add(uint64(len(l.entries)))
	l.tally.Bytes.Add(size)
	l.tally.Orphans.Add(orphans)
	l.tally.Missing.Add(uint64(len(l.missing)))
	return nil
}

// begin makes ready for a segment that starts at a key.
func (l *lister) begin(start string) {
	l.writer, l.id, l.start, l.began = nil, catalog.NewID(catalog.KindSegment), start, time.Now()
	l.files, l.classifiedAt = 0, 0
}

// seal ends the segment at a key, and records it. A range without files and
// without missing records needs no file; the fact that it is empty is enough.
func (l *lister) seal(ctx context.Context, end string) error {
	fact := &pb.Segment{
		Id: l.id, Start: []byte(l.start), End: endKey(end), ClassifiedAt: l.classifiedAt, Node: l.Node,
	}
	if l.writer != nil {
		info, err := l.writer.Seal(endKey(end), l.classifiedAt)
		l.writer = nil
		if err != nil {
			return fmt.Errorf("seal a segment: %w", err)
		}
		fact.Files, fact.Bytes = info.Stats.Files(), info.Stats.Bytes()
		fact.Orphans, fact.Missing = info.Stats.OrphanFiles(), uint64(info.Missing)
		fact.Checksum, fact.FileSize = info.Checksum, uint64(info.FileSize)
	}
	return l.recorder.record(ctx, fact)
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
