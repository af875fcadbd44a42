package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// errIncomplete is returned for a shard of which this node does not have every segment:
// readers are sent to another node.
var errIncomplete = fmt.Errorf("%w: not all of its segments are on this node", index.ErrNoShard)

// update brings a shard to the state of the catalog on this node. Segments that were missing
// when last checked are checked again only if thorough is set or some have arrived.
func (r *Replicator) update(destination string, thorough bool) error {
	s := r.state(destination)
	if s.current.Load() >= r.config.Catalog.AppliedIndex() {
		if _, _, open := r.config.Index.Generation(destination); open || !s.promoted.Load() {
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received.Swap(false) {
		s.failed, s.incomplete, s.collected = nil, "", need{}
	}
	t, err := r.target(destination, func(generation string) bool {
		return (thorough || s.incomplete != generation) && (!s.collected.surplus || s.collected.promoted != generation)
	})
	if err != nil {
		return fmt.Errorf("read the generation of destination %s: %w", destination, err)
	}
	s.promoted.Store(t.manifest != nil)
	switch {
	case t.manifest == nil:
		err = r.drop(destination, t.exists)
	case !t.open:
		err = r.open(destination, s, t)
	}
	if err != nil {
		return err
	}
	for t.manifest != nil {
		_, applied, _ := r.config.Index.Generation(destination)
		if t.lastDelta <= applied {
			break
		}
		more, err := r.applyDeltas(destination, t, applied)
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

// drop removes the shard of a destination without a generation.
func (r *Replicator) drop(destination string, exists bool) error {
	if exists { // its first sync may be writing
		return r.config.Index.Retire(destination)
	}
	err := r.config.Index.Drop(destination)
	if errors.Is(err, fs.ErrExist) {
		return nil // a sync of the removed destination still writes there; the next pass retries
	}
	return err
}

// open opens a generation when all of its segments are here and undamaged.
func (r *Replicator) open(destination string, s *shardState, t target) error {
	generation := t.manifest.Generation
	incomplete := func() bool {
		return slices.ContainsFunc(t.manifest.Segments, func(ref index.SegmentRef) bool {
			return !r.config.Index.Has(destination, ref.ID)
		})
	}
	switch {
	case !t.listed:
		return errIncomplete
	case s.failed != nil && s.failedOf == generation && time.Since(s.failedAt) < reconcileEvery:
		return s.failed
	case incomplete():
		s.incomplete = generation
		return errIncomplete
	}
	s.incomplete = ""
	err := r.config.Index.Promote(destination, *t.manifest)
	if errors.Is(err, index.ErrNoSegment) && incomplete() { // it was set aside meanwhile
		return errIncomplete
	}
	s.failed, s.failedAt, s.failedOf = err, time.Now(), generation
	return err
}

// target is the state that a shard should have.
type target struct {
	index     uint64          // the catalog index of this state
	exists    bool            // the destination exists; set only when there is no generation
	manifest  *index.Manifest // nil when there is no generation
	open      bool            // the index has it open; its segments are not listed then
	listed    bool            // the manifest has the segments
	bucketID  string
	org       string
	startedAt int64 // of the scan, in Unix milliseconds
	lastDelta uint64
}

// target reads the state that a shard should have. The segments of a generation that is not
// open are listed if list returns true for it.
func (r *Replicator) target(destination string, list func(generation string) bool) (t target, err error) {
	err = r.config.Catalog.View(func(tx *catalog.Tx) error {
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
		t.bucketID, t.org, t.startedAt = catalog.BucketID(d), g.Org, g.StartedAt
		t.lastDelta = tx.LastDelta(t.bucketID)
		t.manifest = &index.Manifest{Generation: g.Id}
		have, _, ok := r.config.Index.Generation(destination)
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
