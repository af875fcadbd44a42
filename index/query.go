package index

import (
	"bytes"
	"sort"
	"sync"

	bolt "go.etcd.io/bbolt"

	"firescan/keyspace"
)

// batchBlocks is the maximum number of blocks that a query copies in one transaction.
const batchBlocks = 16

// scratch is the memory of a query. It is pooled, so that a page of 100 files does not
// cost 100 KiB of garbage.
type scratch struct {
	batch
	r reader
	e Entry
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// A batch has copies of blocks, so that no transaction is open while a slow consumer
// reads.
type batch struct {
	buf  []byte
	ends []int // key, block, key, block, …
	next int   // the ordinal to go on from
}

func (b *batch) pair(i int) (key, val []byte) {
	begin := 0
	if i > 0 {
		begin = b.ends[2*i-1]
	}
	return b.buf[begin:b.ends[2*i]], b.buf[b.ends[2*i]:b.ends[2*i+1]]
}

func (b *batch) len() int { return len(b.ends) / 2 }

// load copies and verifies up to n of the blocks that may match, from ordinal b.next on
// (from the block that contains low when b.next is negative). It leaves out blocks that
// begin at or after end.
func (b *batch) load(s *segment, f *filter, low, end []byte, n int) error {
	b.buf, b.ends = b.buf[:0], b.ends[:0]
	return s.pool.view(func(tx *bolt.Tx) (err error) {
		bl := s.blocks(tx)
		if b.next < 0 {
			if b.next, err = bl.locate(low); err != nil {
				return err
			}
		}
		for b.len() < n {
			if b.next = s.sum.next(b.next, f); b.next == s.sum.len() {
				return nil
			}
			if err := bl.seek(b.next); err != nil {
				return err
			}
			if !keyspace.BeforeEnd(bl.key, end) {
				b.next = s.sum.len()
				return nil
			}
			if _, err := checkBlock(bl.key, bl.val); err != nil {
				return err
			}
			b.buf = append(b.buf, bl.key...)
			b.ends = append(b.ends, len(b.buf))
			b.buf = append(b.buf, bl.val...)
			b.ends = append(b.ends, len(b.buf))
			b.next++
		}
		return nil
	})
}

// Query calls yield with each file that q selects, in ascending order of path, until the
// limit, the end, or until yield returns false. The entry is valid during the call only.
// next is the cursor to continue from, the path of the last file that was yielded (the
// cursor of the query when there was none); more reports whether matching files follow,
// and is always true when yield stopped the query. No transaction is open during yield.
func (v *View) Query(q Query, yield func(*Entry) bool) (next []byte, more bool, err error) {
	if v.gone.Load() {
		return nil, false, ErrClosed
	}
	f := q.filter()
	low, end := q.Prefix, keyspace.PrefixEnd(q.Prefix)
	if len(q.Cursor) > 0 && bytes.Compare(q.Cursor, low) >= 0 {
		low = keyspace.AfterBytes(q.Cursor)
	}
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	next = append(next, q.Cursor...)
	if q.OrphansOnly && q.Type != nil && f.cells == 0 || !keyspace.BeforeEnd(low, end) {
		return next, false, nil
	}
	yielded := 0
	for i := v.snap.find(low); i < len(v.snap.segs); i++ {
		s := v.snap.segs[i]
		if !keyspace.BeforeEnd(s.Start, end) {
			break
		}
		if f.matching(&s.Cells) == 0 {
			continue
		}
		sc.next = 0
		if bytes.Compare(low, s.Start) > 0 {
			sc.next = -1
		}
		for n := 1; sc.next < s.sum.len(); n = min(2*n, batchBlocks) {
			if err := sc.load(s, &f, low, end, n); err != nil {
				return next, false, v.shard.damaged(s, err)
			}
			s.read(sc.len())
			for k := range sc.len() {
				key, val := sc.pair(k)
				if err := sc.r.open(key, val); err != nil {
					return next, false, v.shard.damaged(s, err)
				}
				for sc.r.next(&sc.e) {
					if !f.matches(&sc.e) || bytes.Compare(sc.e.Path, low) < 0 {
						continue
					}
					if !keyspace.BeforeEnd(sc.e.Path, end) {
						return next, false, nil
					}
					if q.Limit > 0 && yielded == q.Limit {
						return next, true, nil
					}
					yielded++
					next = append(next[:0], sc.e.Path...)
					if !yield(&sc.e) {
						return next, true, nil
					}
				}
				if sc.r.err != nil {
					return next, false, v.shard.damaged(s, sc.r.err)
				}
			}
		}
	}
	return next, false, nil
}

// find returns the first segment that may have keys at or after low.
func (s *snapshot) find(low []byte) int {
	return sort.Search(len(s.segs), func(i int) bool { return keyspace.BeforeEnd(low, s.reach(i)) })
}

// reach returns where the keys that belong to segment i end: a range without files after
// it needs no segment.
func (s *snapshot) reach(i int) []byte {
	if i+1 < len(s.segs) {
		return s.segs[i+1].Start
	}
	return s.segs[i].End
}

// has reports whether the segment has a path.
func (s *segment) has(path []byte) (found bool, err error) {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	if s.Blocks == 0 {
		return false, nil
	}
	sc.next = -1
	all := filter{cells: allCells}
	if err := sc.load(s, &all, path, nil, 1); err != nil {
		return false, err
	}
	if err := sc.r.open(sc.pair(0)); err != nil {
		return false, err
	}
	for sc.r.next(&sc.e) {
		if c := bytes.Compare(sc.e.Path, path); c >= 0 {
			return c == 0, nil
		}
	}
	return false, sc.r.err
}
