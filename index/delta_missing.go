package index

import (
	"bytes"
	"slices"

	bolt "go.etcd.io/bbolt"

	"firescan/keyspace"
)

// missing returns the records that the segment must list for the stems of the plan, and
// whether they differ from the present list.
func (p *plan) missing(seg *segment) (lost []Missing, changed bool, err error) {
	if p.records == nil {
		p.stems = nil
		return nil, false, nil
	}
	for _, stem := range p.stems {
		have, err := seg.missingWith(stem)
		if err != nil {
			return nil, false, err
		}
		want := map[string]string{}
		records, err := p.records(stem)
		if err != nil {
			return nil, false, err
		}
		for _, m := range records {
			if bytes.Compare(m.Path, seg.Start) < 0 || !keyspace.BeforeEnd(m.Path, p.reach) || !bytes.Equal(keyspace.Stem(m.Path), stem) {
				continue
			}
			seen, err := p.sees(seg, m.Path)
			if err != nil {
				return nil, false, err
			}
			if seen {
				continue
			}
			key, val := m.encode()
			want[string(key)] = string(val)
			lost = append(lost, m)
		}
		if len(want) != len(have) {
			changed = true
		}
		for key, val := range have {
			if w, ok := want[key]; !ok || w != val {
				changed = true
			}
		}
	}
	return lost, changed, nil
}

// sees reports whether the shard, without the deleted files, has an object that lies in the
// segment, or files below a folder, which may continue in later segments.
func (p *plan) sees(seg *segment, path []byte) (bool, error) {
	seen, err := seg.has(path)
	if seen = seen && !p.isDeleted(path); seen || err != nil || !bytes.HasSuffix(path, []byte{'/'}) {
		return seen, err
	}
	if seen, err = p.seesBelow(seg, path); seen || err != nil {
		return seen, err
	}
	for seg, p := range p.after {
		if !bytes.HasPrefix(seg.Start, path) {
			return false, nil
		}
		if seen, err = p.seesBelow(seg, path); seen || err != nil {
			return seen, err
		}
	}
	return false, nil
}

// seesBelow reports whether the segment has files below a folder that its plan, if it has one,
// keeps.
func (p *plan) seesBelow(seg *segment, path []byte) (bool, error) {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	all, end := filter{cells: allCells}, keyspace.PrefixEnd(path)
	for sc.next = -1; sc.next < seg.Blocks; {
		if err := sc.load(seg, &all, path, end, 1); err != nil {
			return false, err
		}
		for k := range sc.len() {
			if err := sc.r.open(sc.pair(k)); err != nil {
				return false, err
			}
			for sc.r.next(&sc.e) {
				if len(sc.e.Path) > len(path) && bytes.HasPrefix(sc.e.Path, path) && !p.isDeleted(sc.e.Path) {
					return true, nil
				}
			}
			if sc.r.err != nil {
				return false, sc.r.err
			}
		}
	}
	return false, nil
}

// missingWith returns the pairs of the missing records with a stem.
func (s *segment) missingWith(stem []byte) (pairs map[string]string, err error) {
	if s.Missing == 0 {
		return nil, nil
	}
	pairs = map[string]string{}
	err = s.pool.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketMissing).Cursor()
		ranges := stemRanges(stem)
		// The key of a record whose path is the stem continues with a zero byte.
		ranges[0].End = string(stem) + "\x01"
		for _, r := range ranges {
			end := []byte(r.End)
			for key, val := c.Seek([]byte(r.Start)); key != nil && keyspace.BeforeEnd(key, end); key, val = c.Next() {
				m, err := decodeMissing(key, val)
				if err != nil {
					return err
				}
				if bytes.Equal(keyspace.Stem(m.Path), stem) {
					pairs[string(key)] = string(val)
				}
			}
		}
		return nil
	})
	return pairs, err
}

// copyMissing writes the missing records of the segment, with lost in place of those with
// stems of the plan.
func (p *plan) copyMissing(w *Writer, seg *segment, lost []Missing) error {
	for _, m := range lost {
		if err := w.AddMissing(m); err != nil {
			return err
		}
	}
	if seg.Missing == 0 {
		return nil
	}
	// The writer's file takes them as they come, so the transaction waits for the disk at
	// most.
	return seg.pool.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketMissing).Cursor()
		for key, val := c.First(); key != nil; key, val = c.Next() {
			m, err := decodeMissing(key, val)
			if err != nil {
				return err
			}
			if _, found := slices.BinarySearchFunc(p.stems, keyspace.Stem(m.Path), bytes.Compare); found {
				continue
			}
			if err := w.copyMissing(key, val); err != nil {
				return err
			}
		}
		return nil
	})
}
