package index

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// Cuts returns up to n-1 existing paths, ascending, that divide the shard into n ranges
// with equal numbers of files, plus or minus one. It returns fewer when there are fewer
// files than ranges.
func (v *View) Cuts(n int) ([][]byte, error) {
	if v.gone.Load() {
		return nil, ErrClosed
	}
	total := v.snap.stats.Files()
	ranges := min(uint64(max(n, 1)), total)
	var cuts [][]byte
	var seen uint64 // files in the segments before
	k := uint64(1)
	for _, s := range v.snap.segs {
		var at []uint64 // positions in this segment
		for ; k < ranges && k*total/ranges < seen+s.Entries; k++ {
			at = append(at, k*total/ranges-seen)
		}
		seen += s.Entries
		if len(at) == 0 {
			continue
		}
		paths, err := s.paths(at)
		if err != nil {
			return nil, v.shard.damaged(s, err)
		}
		cuts = append(cuts, paths...)
	}
	return cuts, nil
}

// paths returns copies of the paths at ascending positions.
func (s *segment) paths(at []uint64) (paths [][]byte, err error) {
	err = s.pool.view(func(tx *bolt.Tx) error {
		bl := s.blocks(tx)
		var r reader
		var e Entry
		var seen uint64 // entries in the blocks before
		for i, count := range s.sum.counts {
			if len(paths) < len(at) && at[len(paths)] < seen+uint64(count) {
				if err := bl.seek(i); err != nil {
					return err
				}
				if _, err := checkBlock(bl.key, bl.val); err != nil {
					return err
				}
				if err := r.open(bl.key, bl.val); err != nil {
					return err
				}
				for pos := seen; len(paths) < len(at) && r.next(&e); pos++ {
					if pos == at[len(paths)] {
						paths = append(paths, bytes.Clone(e.Path))
					}
				}
				if r.err != nil {
					return r.err
				}
			}
			seen += uint64(count)
		}
		return nil
	})
	return paths, err
}
