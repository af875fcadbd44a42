package index

import (
	"sync"
	"sync/atomic"
)

// A View reads one state of a shard: later generations and deltas do not show in it. It
// must be released, and is safe for concurrent use until then.
type View struct {
	shard *shard
	snap  *snapshot
	once  sync.Once
	gone  atomic.Bool
}

// View opens a reader. It returns ErrNoShard when the destination has no generation here,
// and *CorruptError when the shard is suspect.
func (s *Store) View(destID string) (*View, error) {
	sh := s.shard(destID)
	snap, err := sh.acquire()
	if err != nil {
		return nil, err
	}
	return &View{shard: sh, snap: snap}, nil
}

// Release releases the files. It may be called more than once.
func (v *View) Release() {
	v.once.Do(func() {
		v.gone.Store(true)
		v.snap.release()
	})
}

// Generation returns the generation that the view reads and the newest change that it
// includes.
func (v *View) Generation() (gen string, appliedDelta uint64) {
	return v.snap.generation, v.snap.applied
}

// Stats returns the exact counts of the whole shard, at no cost.
func (v *View) Stats() Stats { return v.snap.stats }

// Segments returns the segments in key order.
func (v *View) Segments() []SegmentInfo {
	infos := make([]SegmentInfo, len(v.snap.segs))
	for i, s := range v.snap.segs {
		infos[i] = s.info(s.size)
	}
	return infos
}
