package index

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// environment is shared by all shards of a store.
type environment struct {
	log *slog.Logger
	met *metrics
	res residency
}

// A shard is the data of one destination.
type shard struct {
	env *environment
	id  string
	dir string

	work sync.Mutex // held by changes of the shard: Promote, ApplyChanges, Drop, GC

	mu   sync.Mutex // guards the fields below; held briefly
	snap *snapshot  // nil when there is no generation, or a suspect one
	err  error      // *CorruptError of a suspect shard
	last *Manifest  // of the promoted generation, also when it is suspect
}

// A snapshot is one state of a shard. It never changes, so a reader sees one generation
// at one delta. It holds a reference to each of its segments and releases them with its
// last reference.
type snapshot struct {
	generation string
	applied    uint64
	segs       []*segment // in key order; between their ranges there are no files
	stats      Stats
	refs       atomic.Int64
	totals     totalsCache
}

// newSnapshot takes ownership of one reference to each segment.
func newSnapshot(generation string, applied uint64, segs []*segment) *snapshot {
	s := &snapshot{generation: generation, applied: applied, segs: segs}
	for _, seg := range segs {
		s.stats.Add(seg.Cells.stats())
	}
	s.refs.Store(1)
	return s
}

func (s *snapshot) release() {
	if s.refs.Add(-1) == 0 {
		releaseAll(s.segs)
	}
}

func releaseAll(segs []*segment) {
	for _, seg := range segs {
		if seg != nil {
			seg.release()
		}
	}
}

// openSegment opens and checks a segment. A damaged one is set aside and makes the shard
// suspect if it uses it.
func (sh *shard) openSegment(id string) (*segment, error) {
	seg, err := openSegment(filepath.Join(sh.dir, id+sealedSuffix), sh.id, id, sh.env.met, &sh.env.res)
	if errors.Is(err, errCorrupt) {
		return nil, sh.suspect(id, nil, err)
	}
	return seg, err
}

// setAside renames a damaged file and returns the error that names it.
func (sh *shard) setAside(segmentID, path string, cause error) *CorruptError {
	sh.env.met.corrupt.Inc()
	err := &CorruptError{Destination: sh.id, Segment: segmentID, Err: cause}
	sh.env.log.Error("index: damaged file set aside", "destination", sh.id, "segment", segmentID, "file", path+badSuffix, "error", cause)
	if e := os.Rename(path, path+badSuffix); e != nil && !os.IsNotExist(e) {
		err.Err = errors.Join(cause, e)
	}
	return err
}

// damaged turns an error from reading seg that marks damage into a *CorruptError, and
// makes the shard suspect if it uses seg. Other errors are returned as they are.
func (sh *shard) damaged(seg *segment, cause error) error {
	if _, done := errors.AsType[*CorruptError](cause); done || !errors.Is(cause, errCorrupt) {
		return cause
	}
	return sh.suspect(seg.ID, seg.stat, cause)
}

// swap replaces the snapshot.
func (sh *shard) swap(snap *snapshot, m *Manifest) {
	sh.mu.Lock()
	old := sh.snap
	sh.snap, sh.err, sh.last = snap, nil, m
	sh.mu.Unlock()
	if old != nil {
		old.release()
	}
}

// acquire returns the snapshot with one more reference.
func (sh *shard) acquire() (*snapshot, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.err != nil {
		return nil, sh.err
	}
	if sh.snap == nil {
		return nil, ErrNoShard
	}
	sh.snap.refs.Add(1)
	return sh.snap, nil
}

// refs returns the segments of the promoted generation.
func (sh *shard) refs() []SegmentRef {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.last == nil {
		return nil
	}
	return sh.last.Segments
}

// suspect sets the file of a segment aside, makes the shard suspect if it uses the
// segment, and returns the *CorruptError. damaged is the file in which the damage was
// found, nil for the present one.
func (sh *shard) suspect(id string, damaged os.FileInfo, cause error) error {
	path := filepath.Join(sh.dir, id+sealedSuffix)
	sh.mu.Lock()
	if damaged != nil {
		if info, err := os.Stat(path); err != nil || !os.SameFile(info, damaged) {
			// It was set aside already, or replaced by a delta or a new copy.
			sh.mu.Unlock()
			return &CorruptError{Destination: sh.id, Segment: id, Err: cause}
		}
	}
	err := sh.setAside(id, path, cause)
	var old *snapshot
	if sh.snap != nil && slices.ContainsFunc(sh.snap.segs, func(s *segment) bool { return s.ID == id }) {
		old, sh.snap, sh.err = sh.snap, nil, err
	}
	sh.mu.Unlock()
	if old != nil {
		old.release()
	}
	return err
}

// setSuspect makes the shard suspect because of err.
func (sh *shard) setSuspect(m *Manifest, err error) {
	sh.swap(nil, m)
	sh.mu.Lock()
	sh.err = err
	sh.mu.Unlock()
}

// reopen loads the promoted generation from its manifest. Damage makes the shard suspect
// and is not an error.
func (sh *shard) reopen() error {
	var damage *CorruptError
	m, err := readManifest(sh.dir)
	if errors.Is(err, errCorrupt) {
		sh.setSuspect(nil, sh.setAside("", filepath.Join(sh.dir, manifestName), err))
		return nil
	}
	if m == nil || err != nil {
		return err
	}
	segs, err := sh.open(m)
	if errors.Is(err, ErrNoSegment) {
		err = &CorruptError{Destination: sh.id, Err: err}
	}
	if errors.As(err, &damage) {
		sh.setSuspect(m, damage)
		return nil
	}
	if err != nil {
		return err
	}
	sh.swap(newSnapshot(m.Generation, max(m.AppliedDelta, oldest(segs)), segs), m)
	return nil
}

// oldest returns the catalog index up to which all segments include changes.
func oldest(segs []*segment) uint64 {
	if len(segs) == 0 {
		return 0
	}
	return slices.MinFunc(segs, func(a, b *segment) int {
		if a.horizon() < b.horizon() {
			return -1
		}
		return 1
	}).horizon()
}

// open opens the segments of a manifest and checks that they match it, in order.
func (sh *shard) open(m *Manifest) (segs []*segment, err error) {
	segs = make([]*segment, len(m.Segments))
	errs := make([]error, len(m.Segments))
	defer func() {
		if err != nil {
			releaseAll(segs)
			segs = nil
		}
	}()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(segs)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(segs); i = int(next.Add(1)) - 1 {
				segs[i], errs[i] = sh.openSegment(m.Segments[i].ID)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return segs, err
	}
	for i, seg := range segs {
		if seg.Sealed != m.Segments[i].Checksum {
			return segs, fmt.Errorf("%w: segment %s of destination %s is not the one that generation %s names: its checksum is %016x, not %016x",
				ErrNoSegment, seg.ID, sh.id, m.Generation, seg.Sealed, m.Segments[i].Checksum)
		}
		if i > 0 && (len(segs[i-1].End) == 0 || bytes.Compare(segs[i-1].End, seg.Start) > 0) {
			return segs, fmt.Errorf("%w: segment %s of destination %s begins at %q, before the end of the one before it at %q",
				ErrInvalid, seg.ID, sh.id, seg.Start, segs[i-1].End)
		}
	}
	return segs, nil
}

// removeUnless removes sealed files and incomplete copies that keep does not select, and
// all files that were set aside.
func (sh *shard) removeUnless(keep func(id string) bool) error {
	files, err := os.ReadDir(sh.dir)
	if os.IsNotExist(err) {
		return nil
	}
	var errs []error
	for _, f := range files {
		id, sealed := strings.CutSuffix(f.Name(), sealedSuffix)
		if part, _, ok := partName(f.Name()); ok {
			id, sealed = part, true
		}
		if strings.HasSuffix(f.Name(), badSuffix) || sealed && !keep(id) {
			errs = append(errs, os.Remove(filepath.Join(sh.dir, f.Name())))
		}
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("index: removing files of destination %s: %w", sh.id, err)
	}
	return nil
}
