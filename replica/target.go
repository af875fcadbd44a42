package replica

import (
	"errors"
	"slices"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

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
