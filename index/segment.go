package index

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"firescan/keyspace"
)

// A segment is an open sealed file. The file never changes: a delta writes a new one and
// renames it over the old one, whose readers keep the inode. It is safe for concurrent
// use.
type segment struct {
	segmentMeta
	dest string
	size int64
	stat os.FileInfo // identifies the file after it has been replaced
	pool txPool
	sum  *summary
	refs atomic.Int64
	met  *metrics
	res  *residency
}

// openSegment verifies the whole file and opens it with one reference. errCorrupt marks
// damage.
func openSegment(path, dest, id string, met *metrics, res *residency) (*segment, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("%w: %s of destination %s", ErrNoSegment, id, dest)
	}
	if err != nil {
		return nil, fmt.Errorf("index: opening segment %s of destination %s: %w", id, dest, err)
	}
	stat, err := f.Stat()
	if err == nil {
		err = checkTrailer(f, stat.Size())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	s := &segment{dest: dest, size: stat.Size(), stat: stat, met: met, res: res}
	if err := s.pool.open(f); err != nil {
		return nil, corruptf("%v", err)
	}
	if err := s.load(id); err != nil {
		s.pool.close()
		return nil, err
	}
	s.refs.Store(1)
	met.open(s.size)
	return s, nil
}

func (s *segment) load(id string) error {
	return s.pool.view(func(tx *bolt.Tx) (err error) {
		b := tx.Bucket(bucketMeta)
		if b == nil || tx.Bucket(bucketBlocks) == nil || tx.Bucket(bucketMissing) == nil {
			return corruptf("a bucket is missing")
		}
		meta, err := decodeMeta(b.Get(keyMeta))
		if err != nil {
			return err
		}
		s.segmentMeta = *meta
		if s.ID != id {
			return corruptf("the file is segment %q", s.ID)
		}
		s.sum, err = loadSummary(b.Get(keySummary), s.Blocks)
		return err
	})
}

// read counts blocks that were read.
func (s *segment) read(blocks int) {
	s.met.blocks.Add(float64(blocks))
	s.res.touch(&s.pool, s.size, blocks)
}

func (s *segment) retain() { s.refs.Add(1) }

func (s *segment) release() {
	if s.refs.Add(-1) == 0 {
		s.met.close(s.size)
		s.res.forget(&s.pool)
		s.pool.close()
	}
}

// blocks is a cursor over the blocks of a segment by ordinal, within one transaction.
type blocks struct {
	seg      *segment
	cur      *bolt.Cursor
	at       int // ordinal of key and val, -1 = nowhere
	key, val []byte
}

func (s *segment) blocks(tx *bolt.Tx) *blocks {
	return &blocks{seg: s, cur: tx.Bucket(bucketBlocks).Cursor(), at: -1}
}

// seek moves to block i, which must exist.
func (b *blocks) seek(i int) error {
	if b.at < 0 || i < b.at || i/fenceEvery > b.at/fenceEvery+1 {
		f := i / fenceEvery
		b.key, b.val = b.cur.Seek(b.seg.sum.fences[f].key)
		b.at = f * fenceEvery
	}
	for b.at < i && b.key != nil {
		b.key, b.val = b.cur.Next()
		b.at++
	}
	if b.key == nil {
		return corruptf("block %d of %d is missing", i, b.seg.Blocks)
	}
	return nil
}

// locate returns the only block that can contain a key: the last one that begins at or
// before it, or 0.
func (b *blocks) locate(key []byte) (int, error) {
	if b.seg.Blocks == 0 {
		return 0, nil
	}
	if err := b.seek(b.seg.sum.fenceBefore(key) * fenceEvery); err != nil {
		return 0, err
	}
	for {
		next, val := b.cur.Next()
		if next == nil || bytes.Compare(next, key) > 0 {
			at := b.at
			b.at = -1
			return at, nil
		}
		b.key, b.val = next, val
		b.at++
	}
}

// verify reads the whole segment and compares it with its metadata.
func (s *segment) verify() error {
	defer s.read(s.Blocks)
	return s.pool.view(func(tx *bolt.Tx) error {
		m := segmentMeta{}
		var sum summary
		var r reader
		var e Entry
		last := bytes.Clone(s.Start)
		first := true
		c := tx.Bucket(bucketBlocks).Cursor()
		for key, val := c.First(); key != nil; key, val = c.Next() {
			n, err := checkBlock(key, val)
			if err != nil {
				return err
			}
			if err := r.open(key, val); err != nil {
				return err
			}
			var cs cells
			for r.next(&e) {
				if c := bytes.Compare(e.Path, last); c < 0 || c == 0 && !first {
					return corruptf("path %q is out of order", e.Path)
				}
				first = false
				last = append(last[:0], e.Path...)
				cs[cellOf(&e)].count(e.Size, minuteOf(e.ModTime))
			}
			if r.err != nil {
				return r.err
			}
			if cs != r.cells {
				return corruptf("the header of the block at %q is wrong", key)
			}
			m.Content += n
			m.add(&r.head)
			sum.add(key, &r.head)
		}
		if !keyspace.BeforeEnd(last, s.End) && !first {
			return corruptf("path %q is out of range", last)
		}
		c = tx.Bucket(bucketMissing).Cursor()
		for key, val := c.First(); key != nil; key, val = c.Next() {
			m.Content += blockSum(key, val)
			m.Missing++
		}
		if m.Content != s.Content || m.Entries != s.Entries || m.Blocks != s.Blocks || m.Missing != s.Missing ||
			m.Cells != s.Cells || m.Newest != s.Newest || string(sum.encode()) != string(s.sum.encode()) {
			return corruptf("metadata or summary do not match the blocks")
		}
		return nil
	})
}

// add counts a block.
func (m *segmentMeta) add(h *head) {
	m.Blocks++
	m.Entries += uint64(h.count)
	m.Cells.add(&h.cells)
	m.Newest = max(m.Newest, h.newest)
}
