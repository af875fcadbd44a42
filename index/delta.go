package index

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"sort"

	bolt "go.etcd.io/bbolt"

	"firescan/keyspace"
)

// ApplyChanges brings a shard up to the given changes, which ascend by Index. It skips
// changes that the shard has, and for each segment those from before its classification.
// For each file that a change may affect it calls classify for the current type and link, and
// for each stem it calls missing for the current records whose storagePath has that stem;
// so applying a change twice is harmless. A nil missing leaves the lists of missing
// records as they are.
//
// A segment with differences is rewritten, in memory that does not grow with it, and
// synced once; then readers get all changes at once. It returns ErrStale when generation
// is not the promoted one. After an error, also one of classify or missing, nothing has
// changed.
func (s *Store) ApplyChanges(destID, generation string, changes []Change,
	classify func(path []byte) (Class, error), missing func(stem []byte) ([]Missing, error),
) error {
	sh := s.shard(destID)
	sh.work.Lock()
	defer sh.work.Unlock()
	snap, err := sh.acquire()
	if err != nil {
		return err
	}
	defer snap.release()
	if snap.generation != generation {
		return fmt.Errorf("%w: %s of destination %s, it is %s", ErrStale, generation, destID, snap.generation)
	}
	changes = slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Index <= snap.applied })
	if len(changes) == 0 {
		return nil
	}
	applied := changes[len(changes)-1].Index
	segs := slices.Clone(snap.segs)
	fresh := make([]*segment, 0, len(segs))
	plans := snap.plans(changes)
	for i, p := range plans {
		if p == nil {
			continue
		}
		p.classify, p.records = classify, missing
		p.after = func(yield func(*segment, *plan) bool) {
			for k := i + 1; k < len(plans) && yield(snap.segs[k], plans[k]); k++ {
			}
		}
		seg, err := p.apply(s, segs[i], applied)
		if err != nil {
			releaseAll(fresh)
			return sh.damaged(segs[i], err)
		}
		if seg != nil {
			segs[i] = seg
			fresh = append(fresh, seg)
		}
	}
	m := &Manifest{Generation: generation, Segments: sh.refs(), AppliedDelta: applied}
	if len(fresh) > 0 {
		// When nothing differed the manifest is not worth a sync: the changes are read
		// again after a restart.
		if err := writeManifest(sh.dir, m); err != nil {
			releaseAll(fresh)
			return fmt.Errorf("index: applying changes to destination %s: %w", destID, err)
		}
	}
	for _, seg := range segs {
		if !slices.Contains(fresh, seg) {
			seg.retain()
		}
	}
	sh.swap(newSnapshot(generation, applied, segs), m)
	return nil
}

// A plan is the effect of changes on one segment.
type plan struct {
	reach    []byte            // where the keys that belong to the segment end
	ranges   keyspace.RangeSet // of the files to look up
	deleted  [][]byte          // the files that are gone; they lie in ranges
	stems    [][]byte          // the missing records to look up
	classify func([]byte) (Class, error)
	records  func([]byte) ([]Missing, error)
	after    iter.Seq2[*segment, *plan] // the segments after this one with their plans or nil
}

// plans returns a plan for each segment, nil when the changes do not affect it.
func (s *snapshot) plans(changes []Change) []*plan {
	plans := make([]*plan, len(s.segs))
	// each calls fn with the plans of the segments in which the span may have keys and
	// the change is news.
	each := func(index uint64, r keyspace.Range, fn func(*plan)) {
		end := []byte(r.End)
		for i := s.find([]byte(r.Start)); i < len(s.segs) && keyspace.BeforeEnd(s.segs[i].Start, end); i++ {
			if index <= s.segs[i].horizon() {
				continue
			}
			if plans[i] == nil {
				plans[i] = &plan{reach: s.reach(i)}
			}
			plans[i].ranges = append(plans[i].ranges, r)
			if fn != nil {
				fn(plans[i])
			}
		}
	}
	// folder has a folder looked up, which may have become empty, or the object of a record.
	folder := func(index uint64, path []byte) {
		each(index, keyRange(path), func(p *plan) { p.stems = append(p.stems, path) })
	}
	for _, c := range changes {
		for _, prefix := range c.Prefixes {
			each(c.Index, keyspace.Prefix(string(prefix)), nil)
			if bytes.HasSuffix(prefix, []byte{'/'}) {
				folder(c.Index, prefix)
			}
		}
		for _, path := range c.Deleted {
			for i, b := range path {
				if b == '/' && i+1 < len(path) {
					folder(c.Index, path[:i+1])
				}
			}
		}
		for _, path := range c.Deleted {
			each(c.Index, keyRange(path), func(p *plan) {
				p.deleted = append(p.deleted, path)
				p.stems = append(p.stems, keyspace.Stem(path))
			})
		}
		for _, stem := range c.Stems {
			add := func(p *plan) { p.stems = append(p.stems, stem) }
			each(c.Index, keyRange(stem), add)
			each(c.Index, dottedOrBelow(stem), add)
		}
	}
	for _, p := range plans {
		if p != nil {
			p.ranges = keyspace.NewRangeSet(p.ranges)
			slices.SortFunc(p.deleted, bytes.Compare)
			slices.SortFunc(p.stems, bytes.Compare)
			p.stems = slices.CompactFunc(p.stems, bytes.Equal)
		}
	}
	return plans
}

// keyRange returns the range that holds one key.
func keyRange(key []byte) keyspace.Range {
	return keyspace.Range{Start: string(key), End: keyspace.After(string(key))}
}

// stemRanges returns ranges that hold all keys with a stem: the stem itself and those
// that continue with a dot. They may hold other keys, which are then looked up
// needlessly.
func stemRanges(stem []byte) [2]keyspace.Range {
	return [2]keyspace.Range{keyRange(stem), keyspace.Prefix(string(stem) + ".")}
}

// dottedOrBelow returns the range of the keys that continue a stem with a dot, or with a slash:
// a record that names it, or such a key, also links what lies below that name.
func dottedOrBelow(stem []byte) keyspace.Range {
	return keyspace.Range{Start: string(stem) + ".", End: string(stem) + string(rune('/'+1))}
}

func (p *plan) isDeleted(path []byte) bool {
	if p == nil {
		return false
	}
	_, found := slices.BinarySearchFunc(p.deleted, path, bytes.Compare)
	return found
}

// concerns reports whether the file at path must be looked up.
func (p *plan) concerns(path []byte) bool {
	i := sort.Search(len(p.ranges), func(i int) bool { return p.ranges[i].Start > string(path) }) - 1
	return i >= 0 && (p.ranges[i].End == "" || string(path) < p.ranges[i].End)
}

// update brings e up to date; keep is false when the file was deleted.
func (p *plan) update(e *Entry) (keep, changed bool, err error) {
	if !p.concerns(e.Path) {
		return true, false, nil
	}
	if p.isDeleted(e.Path) {
		return false, true, nil
	}
	c, err := p.classify(e.Path)
	if err != nil {
		return false, false, err
	}
	changed = c != Class{e.Type, e.Linked, e.ByStem}
	e.Type, e.Linked, e.ByStem = c.Type, c.Linked, c.ByStem
	return true, changed, nil
}

// apply returns the rewritten segment, or nil when nothing differs.
func (p *plan) apply(s *Store, seg *segment, applied uint64) (*segment, error) {
	touched, err := p.touched(seg)
	if err != nil {
		return nil, err
	}
	lost, changed, err := p.missing(seg)
	if err != nil {
		return nil, err
	}
	if !changed {
		if changed, err = p.differs(seg, touched); !changed || err != nil {
			return nil, err
		}
	}
	return p.rewrite(s, seg, touched, lost, applied)
}

// touched returns the blocks that may have keys in the ranges, ascending.
func (p *plan) touched(seg *segment) (list []int, err error) {
	if seg.Blocks == 0 {
		return nil, nil
	}
	err = seg.pool.view(func(tx *bolt.Tx) error {
		bl := seg.blocks(tx)
		for _, r := range p.ranges {
			end := []byte(r.End)
			i, err := bl.locate([]byte(r.Start))
			if err != nil {
				return err
			}
			for ; i < seg.Blocks; i++ {
				if n := len(list); n > 0 && i <= list[n-1] {
					continue
				}
				if err := bl.seek(i); err != nil {
					return err
				}
				if !keyspace.BeforeEnd(bl.key, end) {
					break
				}
				list = append(list, i)
			}
		}
		return nil
	})
	return list, err
}

// differs reports whether an entry in the touched blocks must change.
func (p *plan) differs(seg *segment, touched []int) (bool, error) {
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	all := filter{cells: allCells}
	for _, i := range touched {
		sc.next = i
		if err := sc.load(seg, &all, nil, nil, 1); err != nil {
			return false, err
		}
		seg.read(1)
		if err := sc.r.open(sc.pair(0)); err != nil {
			return false, err
		}
		for sc.r.next(&sc.e) {
			if _, changed, err := p.update(&sc.e); changed || err != nil {
				return changed, err
			}
		}
		if sc.r.err != nil {
			return false, sc.r.err
		}
	}
	return false, nil
}

// rewrite writes a new file of the segment, replaces the old file and opens the new one.
func (p *plan) rewrite(s *Store, seg *segment, touched []int, lost []Missing, applied uint64) (*segment, error) {
	w, err := s.newWriter(seg.dest, segmentMeta{
		ID: seg.ID, Start: seg.Start, End: seg.End,
		ClassifiedAt: seg.ClassifiedAt, Applied: applied, Sealed: seg.Sealed,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Abort() }()
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	all := filter{cells: allCells}
	for at := 0; at < seg.Blocks; {
		sc.next = at
		if err := sc.load(seg, &all, nil, nil, batchBlocks); err != nil {
			return nil, err
		}
		seg.read(sc.len())
		for k := range sc.len() {
			key, val := sc.pair(k)
			if err := sc.r.open(key, val); err != nil {
				return nil, err
			}
			if len(touched) > 0 && touched[0] == at+k {
				touched = touched[1:]
				err = p.copyEntries(w, &sc.r)
			} else {
				err = w.copyBlock(key, val, &sc.r.head)
			}
			if err != nil {
				return nil, err
			}
		}
		at = sc.next
	}
	if err := p.copyMissing(w, seg, lost); err != nil {
		return nil, err
	}
	if _, err := w.finish(); err != nil {
		return nil, err
	}
	return s.shard(seg.dest).openSegment(seg.ID)
}

// copyEntries writes the remaining entries of a block as one block.
func (p *plan) copyEntries(w *Writer, r *reader) error {
	var e Entry
	for r.next(&e) {
		keep, _, err := p.update(&e)
		if err != nil {
			return err
		}
		if !keep {
			continue
		}
		if err := w.Add(&e); err != nil {
			return err
		}
	}
	if r.err != nil {
		return r.err
	}
	return w.endBlock()
}
