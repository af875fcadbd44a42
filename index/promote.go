package index

import (
	"fmt"
	"os"
	"path/filepath"
)

// Promote makes a generation the one that is read. It checks that all its segments are
// undamaged (else *CorruptError), match the manifest (else ErrNoSegment), and are in
// order without overlap (else ErrInvalid). Between two segments there may be a range
// without files, which needs no segment; the catalog checks that the ranges tile.
//
// After an error the old generation stays. Views of the old generation remain valid; its
// files are removed. Promoting the current generation does nothing; when the shard is
// suspect it is loaded again.
func (s *Store) Promote(destID string, m Manifest) error {
	if err := checkName(destID); err != nil {
		return err
	}
	sh := s.shard(destID)
	sh.work.Lock()
	defer sh.work.Unlock()
	if gen, _, ok := sh.generation(); ok && gen == m.Generation {
		return nil
	}
	if s.isClosed() {
		return ErrClosed
	}
	segs, err := sh.open(&m)
	if err != nil {
		return err
	}
	m.AppliedDelta = oldest(segs)
	if err = os.MkdirAll(sh.dir, 0o700); err == nil {
		err = writeManifest(sh.dir, &m)
	}
	if err != nil {
		releaseAll(segs)
		return fmt.Errorf("index: promoting generation %s of destination %s: %w", m.Generation, destID, err)
	}
	old := sh.refs()
	sh.swap(newSnapshot(m.Generation, m.AppliedDelta, segs), &m)
	drop := map[string]bool{}
	for _, ref := range old {
		drop[ref.ID] = true
	}
	for _, ref := range m.Segments {
		delete(drop, ref.ID)
	}
	// Readers of the old generation keep its inodes. A sealed segment outside of all
	// generations may belong to a running sync.
	if err := sh.removeUnless(func(id string) bool { return !drop[id] }); err != nil {
		s.env.log.Warn("index: could not remove old segments; the next GC will", "destination", destID, "error", err)
	}
	return nil
}

// Retire removes the generation of a destination with its segments; View then returns
// ErrNoShard. Sealed segments outside of the generation stay, since they may belong to a
// running sync.
func (s *Store) Retire(destID string) error {
	if err := checkName(destID); err != nil {
		return err
	}
	sh := s.shard(destID)
	sh.work.Lock()
	defer sh.work.Unlock()
	old := map[string]bool{}
	for _, ref := range sh.refs() {
		old[ref.ID] = true
	}
	sh.swap(nil, nil)
	if err := os.Remove(filepath.Join(sh.dir, manifestName)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("index: retiring the generation of destination %s: %w", destID, err)
	}
	return sh.removeUnless(func(id string) bool { return !old[id] })
}

// Drop removes all files of a destination. Views remain valid.
func (s *Store) Drop(destID string) error {
	if err := checkName(destID); err != nil {
		return err
	}
	sh := s.shard(destID)
	sh.work.Lock()
	defer sh.work.Unlock()
	sh.swap(nil, nil)
	// The manifest goes first: without it, a crash in between leaves only segments that
	// nobody names.
	if err := os.Remove(filepath.Join(sh.dir, manifestName)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("index: dropping destination %s: %w", destID, err)
	}
	if err := os.RemoveAll(sh.dir); err != nil {
		return fmt.Errorf("index: dropping destination %s: %w", destID, err)
	}
	return nil
}

// Generation returns the promoted generation and the newest change that it includes; ok
// is false when there is none or it is suspect.
func (s *Store) Generation(destID string) (gen string, appliedDelta uint64, ok bool) {
	return s.shard(destID).generation()
}

func (sh *shard) generation() (gen string, applied uint64, ok bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.snap == nil {
		return "", 0, false
	}
	return sh.snap.generation, sh.snap.applied, true
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
