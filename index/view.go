package index

import (
	"sync"
	"sync/atomic"
)

// A View reads one state of a shard: later generations and deltas do not show in it. It must be released. Safe for
// concurrent use until then.
type View struct {
	store *Store
	snap  *snapshot
	once  sync.Once
	gone  atomic.Bool
}

// View opens a reader. ErrNoShard when the destination has no generation here, *CorruptError when the shard is suspect.
func (s *Store) View(destID string) (*View, error) {
	snap, err := s.shard(destID).acquire()
	if err != nil {
		return nil, err
	}
	return &View{store: s, snap: snap}, nil
}

// Release lets go of the files. It may be called more than once.
func (v *View) Release() {
	v.once.Do(func() {
		v.gone.Store(true)
		v.snap.release()
	})
}

// Generation answers which generation the view reads and the newest change that it holds.
func (v *View) Generation() (gen string, appliedDelta uint64) {
	return v.snap.generation, v.snap.applied
}

// Stats answers the exact counts of the whole shard, at no cost.
func (v *View) Stats() Stats { return v.snap.stats }

// Segments describes the segments, in key order.
func (v *View) Segments() []SegmentInfo {
	infos := make([]SegmentInfo, len(v.snap.segs))
	for i, s := range v.snap.segs {
		infos[i] = s.info(s.size)
	}
	return infos
}
