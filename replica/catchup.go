package replica

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// catchUp brings a shard to where the catalog of this node is now. Only a thorough one looks
// again for segments that were found lacking, unless some have come.
func (k *Keeper) catchUp(destination string, thorough bool) error {
	s := k.state(destination)
	if s.current.Load() >= k.Catalog.AppliedIndex() {
		if _, _, whole := k.Index.Generation(destination); whole || !s.promoted.Load() {
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stirred.Swap(false) {
		s.failed, s.lacking, s.swept = nil, "", need{}
	}
	t, err := k.target(destination, func(generation string) bool {
		return (thorough || s.lacking != generation) && (!s.swept.elsewhere || s.swept.promoted != generation)
	})
	if err != nil {
		return fmt.Errorf("read the generation of destination %s: %w", destination, err)
	}
	s.promoted.Store(t.manifest != nil)
	switch {
	case t.manifest == nil:
		err = k.forget(destination, t.exists)
	case !t.open:
		err = k.promote(destination, s, t)
	}
	if err != nil {
		return err
	}
	for t.manifest != nil {
		_, applied, _ := k.Index.Generation(destination)
		if t.lastDelta <= applied {
			break
		}
		more, err := k.apply(destination, t, applied)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	s.current.Store(t.index)
	return nil
}

// forget drops what is here of a destination without a generation.
func (k *Keeper) forget(destination string, exists bool) error {
	if exists { // and a first sync of it may be writing
		return k.Index.Retire(destination)
	}
	return k.Index.Drop(destination)
}

// promote opens a generation when all of its segments are here and undamaged.
func (k *Keeper) promote(destination string, s *shardState, t target) error {
	generation := t.manifest.Generation
	lacking := func() bool {
		return slices.ContainsFunc(t.manifest.Segments, func(ref index.SegmentRef) bool { return !k.Index.Has(destination, ref.ID) })
	}
	switch {
	case !t.listed:
		return errLacking
	case s.failed != nil && s.failedOf == generation && time.Since(s.failedAt) < lookEvery:
		return s.failed
	case lacking():
		s.lacking = generation
		return errLacking
	}
	s.lacking = ""
	err := k.Index.Promote(destination, *t.manifest)
	if errors.Is(err, index.ErrNoSegment) && lacking() { // it was set aside meanwhile
		return errLacking
	}
	s.failed, s.failedAt, s.failedOf = err, time.Now(), generation
	return err
}

// target is where a shard should be.
type target struct {
	index     uint64          // of the catalog that says so
	exists    bool            // the destination does; told when there is no generation
	manifest  *index.Manifest // nil: there is no generation
	open      bool            // the index has it open: then its segments are not listed
	listed    bool
	bucketID  string
	startedAt int64 // of the scan, Unix milliseconds
	lastDelta uint64
}

// target reads where a shard should be; the segments of a generation that is not open are
// listed when list says so.
func (k *Keeper) target(destination string, list func(generation string) bool) (t target, err error) {
	err = k.Catalog.View(func(tx *catalog.Tx) error {
		t.index = tx.AppliedIndex()
		g, err := tx.Generation(destination)
		if errors.Is(err, catalog.ErrNotFound) {
			all, err := tx.AllDestinations()
			t.exists = slices.ContainsFunc(all, func(d *pb.Destination) bool { return d.Id == destination })
			return err
		}
		if err != nil {
			return err
		}
		d, err := tx.Destination(g.Org, destination)
		if err != nil {
			return err
		}
		t.bucketID, t.startedAt = catalog.BucketID(d), g.StartedAt
		t.lastDelta = tx.LastDelta(t.bucketID)
		t.manifest = &index.Manifest{Generation: g.Id}
		have, _, ok := k.Index.Generation(destination)
		if t.open = ok && have == g.Id; t.open || !list(g.Id) {
			return nil
		}
		t.listed = true
		files, _, err := segments(tx, g.Id)
		for _, s := range files {
			t.manifest.Segments = append(t.manifest.Segments, index.SegmentRef{ID: s.Id, Checksum: s.Checksum})
		}
		return err
	})
	return t, err
}
