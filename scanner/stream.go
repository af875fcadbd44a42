package scanner

import (
	"context"
	"fmt"
	"sort"

	"firescan/catalog"
	"firescan/keyspace"
	"firescan/provider"
	"firescan/scanner/split"
)

// pagesPerTrim is the number of pages after which a stream trims the catalog's mapped
// memory. The links of a page lie on some 20 pages of the file.
const pagesPerTrim = 2

// A stream lists and classifies one range after the other.
type stream struct {
	scan       *scan
	classifier classifier
	segment    segmentBuilder
	page       provider.Page
	pages      int
}

func newStream(s *scan) *stream {
	return &stream{scan: s, classifier: classifier{destination: s.destination.Id}, segment: segmentBuilder{scan: s}}
}

// run lists ranges until the scan ends.
func (s *stream) run(ctx context.Context) error {
	defer s.segment.abort()
	for {
		c, err := s.scan.queue.Next(ctx)
		if err != nil {
			return err
		}
		if err := s.list(ctx, c); err != nil {
			return err
		}
	}
}

// list lists a range to its end, which may come nearer meanwhile, and seals the result.
func (s *stream) list(ctx context.Context, c *split.Claim) error {
	s.segment.begin(c.Remaining().Start)
	for {
		asked := c.Remaining()
		if err := s.fetch(ctx, asked); err != nil {
			return err
		}
		objects := s.page.Objects
		next := ""
		if s.page.More {
			next = s.page.Next
		}
		upTo, more := c.Advance(asked, next, len(objects), func(i int) []byte { return objects[i].Key })
		if upTo != "" {
			n := sort.Search(len(objects), func(i int) bool { return string(objects[i].Key) >= upTo })
			objects = objects[:n]
		}
		if err := s.classify(objects, asked.Start, upTo); err != nil {
			return err
		}
		if !more {
			return s.segment.seal(ctx, upTo)
		}
		if s.segment.isDue() {
			if err := s.segment.seal(ctx, upTo); err != nil {
				return err
			}
			s.segment.begin(upTo)
		}
	}
}

// fetch lists the next page when the scan has a request slot.
func (s *stream) fetch(ctx context.Context, asked keyspace.Range) error {
	if err := s.scan.slots.acquire(ctx); err != nil {
		return err
	}
	defer s.scan.slots.release()
	if err := s.segment.noteIndex(); err != nil {
		return err
	}
	err := s.scan.bucket.List(ctx, provider.ListRequest{Prefix: s.scan.prefix, Start: asked.Start, End: asked.End, Since: s.scan.began}, &s.page)
	if err != nil {
		return fmt.Errorf("list %s: %w", asked, err)
	}
	s.scan.listedOnce.Do(func() { s.scan.group.Go(func() error { return s.scan.proveAccess(ctx) }) })
	if provider.IsSerial(s.scan.bucket) {
		// The page is part of a listing that may be as old as the scan.
		s.segment.classifiedAt = s.scan.appliedAtBegin
	}
	return nil
}

// classify classifies the objects of [from, upTo) and adds them to the segment.
func (s *stream) classify(objects []provider.Object, from, upTo string) error {
	err := s.scan.node.config.Catalog.View(func(tx *catalog.Tx) error {
		pitr, err := tx.PitrPrefixes(s.scan.bucketID, s.scan.destination.Org)
		if err != nil {
			return err
		}
		if err := s.classifier.page(tx.LinksFor(s.scan.bucketID, s.scan.destination.Org), pitr, objects, []byte(from), []byte(upTo)); err != nil {
			return err
		}
		return s.classifier.keepMissing(tx, s.scan.destination)
	})
	if err != nil {
		return fmt.Errorf("read the links of a page: %w", err)
	}
	if err := s.segment.add(s.classifier.entries, s.classifier.missing); err != nil {
		return err
	}
	// A scan reads the links of the whole bucket once.
	if s.pages++; s.pages%pagesPerTrim == 0 {
		s.scan.node.config.Catalog.Trim()
	}
	return nil
}
