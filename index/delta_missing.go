package index

import (
	"bytes"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// missing answers the records that the segment is to list for the plan's stems, and whether that differs from what it lists.
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
			if bytes.Compare(m.Path, seg.Start) < 0 || !before(m.Path, p.reach) || !bytes.Equal(m.Path[:stemLen(m.Path)], stem) {
				continue
			}
			seen, err := seg.has(m.Path)
			if err != nil {
				return nil, false, err
			}
			if seen && !p.isDeleted(m.Path) {
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

// missingWith answers the pairs of the missing records with a stem.
func (s *segment) missingWith(stem []byte) (pairs map[string]string, err error) {
	if s.Missing == 0 {
		return nil, nil
	}
	pairs = map[string]string{}
	err = s.pool.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketMissing).Cursor()
		spans := stemSpans(stem)
		// The key of a record whose path is the stem goes on with a zero.
		spans[0].hi = append(bytes.Clone(stem), 1)
		for _, sp := range spans {
			for key, val := c.Seek(sp.lo); key != nil && before(key, sp.hi); key, val = c.Next() {
				m, err := decodeMissing(key, val)
				if err != nil {
					return err
				}
				if bytes.Equal(m.Path[:stemLen(m.Path)], stem) {
					pairs[string(key)] = string(val)
				}
			}
		}
		return nil
	})
	return pairs, err
}

// copyMissing writes the segment's missing records, with lost in the place of those with the plan's stems.
func (p *plan) copyMissing(w *Writer, seg *segment, lost []Missing) error {
	for _, m := range lost {
		if err := w.AddMissing(m); err != nil {
			return err
		}
	}
	if seg.Missing == 0 {
		return nil
	}
	// The writer's file takes them as they come, so the transaction waits for the disk at most.
	return seg.pool.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketMissing).Cursor()
		for key, val := c.First(); key != nil; key, val = c.Next() {
			m, err := decodeMissing(key, val)
			if err != nil {
				return err
			}
			if _, found := slices.BinarySearchFunc(p.stems, m.Path[:stemLen(m.Path)], bytes.Compare); found {
				continue
			}
			if err := w.copyMissing(key, val); err != nil {
				return err
			}
		}
		return nil
	})
}
