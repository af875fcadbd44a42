package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

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
