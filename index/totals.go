package index

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"firescan/keyspace"
)

// Totals returns the exact sums over the matches of q, without cursor and limit. It reads
// metadata for whole segments and headers for those that a prefix cuts. With
// ModifiedBefore it decodes the blocks whose times straddle the bound, which may be all.
// Results that cost more than metadata are cached while the shard stays the same.
func (v *View) Totals(q Query) (Totals, error) {
	if v.gone.Load() {
		return Totals{}, ErrClosed
	}
	f := q.filter()
	if !f.aged && len(q.Prefix) == 0 {
		return v.totals(nil, &f)
	}
	return v.snap.totals.get(totalsKey{string(q.Prefix), f}, func() (Totals, error) { return v.totals(q.Prefix, &f) })
}

func (v *View) totals(prefix []byte, f *filter) (Totals, error) {
	var t Totals
	end := keyspace.PrefixEnd(prefix)
	for i := v.snap.find(prefix); i < len(v.snap.segs); i++ {
		s := v.snap.segs[i]
		if !keyspace.BeforeEnd(s.Start, end) {
			break
		}
		mask := f.matching(&s.Cells)
		if mask == 0 {
			continue
		}
		if within(s.Start, s.End, prefix, end) && f.whole(s.Newest) {
			s.Cells.addTo(&t, mask)
			continue
		}
		if err := s.addTotals(&t, prefix, end, f); err != nil {
			return Totals{}, v.shard.damaged(s, err)
		}
	}
	return t, nil
}

// within reports whether [start, end) lies within [low, high); an empty end or high is
// unbounded.
func within(start, end, low, high []byte) bool {
	return bytes.Compare(start, low) >= 0 && (len(high) == 0 || len(end) > 0 && bytes.Compare(end, high) <= 0)
}

// addTotals adds the matches in one segment.
func (s *segment) addTotals(t *Totals, low, high []byte, f *filter) error {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	r := &sc.r
	seen := 0
	err := s.pool.view(func(tx *bolt.Tx) (err error) {
		bl := s.blocks(tx)
		i := 0
		if len(low) > 0 {
			if i, err = bl.locate(low); err != nil {
				return err
			}
		}
		for i = s.sum.next(i, f); i < s.sum.len(); i = s.sum.next(i+1, f) {
			if err := bl.seek(i); err != nil {
				return err
			}
			seen++
			key, val := bl.key, bl.val
			if !keyspace.BeforeEnd(key, high) {
				return nil
			}
			if err := r.open(key, val); err != nil {
				return err
			}
			inside := len(low) == 0 && len(high) == 0
			if !inside && bytes.HasPrefix(key, low) {
				// The block's end is the next one's key; a prefix that holds both holds
				// all between them.
				next := s.End
				if i+1 < s.sum.len() {
					if err := bl.seek(i + 1); err != nil {
						return err
					}
					next = bl.key
				}
				inside = within(key, next, low, high)
			}
			if inside && f.whole(r.newest) {
				r.cells.addTo(t, f.matching(&r.cells))
				continue
			}
			if _, err := checkBlock(key, val); err != nil {
				return err
			}
			if inside {
				err = r.addRows(t, f)
			} else {
				err = r.addRange(t, f, low, high)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	s.read(seen)
	return err
}

// addRows adds the matches of a block without decoding paths.
func (r *reader) addRows(t *Totals, f *filter) error {
	var e Entry
	for r.nextRow(&e) {
		if f.matches(&e) {
			t.addCell(cellOf(&e), Usage{1, uint64(e.Size)})
		}
	}
	return r.err
}

// addRange adds the matches of a block within [low, high).
func (r *reader) addRange(t *Totals, f *filter, low, high []byte) error {
	var e Entry
	for r.next(&e) {
		if f.matches(&e) && bytes.Compare(e.Path, low) >= 0 && keyspace.BeforeEnd(e.Path, high) {
			t.addCell(cellOf(&e), Usage{1, uint64(e.Size)})
		}
	}
	return r.err
}
