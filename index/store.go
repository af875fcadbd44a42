package index

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	bolt "go.etcd.io/bbolt"
)

// pageSize of the bbolt files. A leaf holds at least two blocks and is rounded up to
// whole pages, so small pages waste less. bbolt takes no smaller one.
const pageSize = 1024

// Options configure a store. The zero value logs nothing and registers no metrics.
type Options struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Store has the segments of a node: <dir>/<destination>/<segment>.seg, and a manifest
// for each destination with a promoted generation. It is safe for concurrent use.
type Store struct {
	dir   string
	env   environment
	blank []byte // an empty bbolt file
	parts *parts // incomplete copies

	blockEntries int           // small in tests
	builds       chan struct{} // one slot for each concurrent build

	mu      sync.Mutex
	shards  map[string]*shard
	writing map[string]bool // paths of unfinished segments
	closed  bool
}

// Open opens the store in dir, which is created if it does not exist. It removes
// unfinished segments. Sealed segments outside of a generation stay, since a sync may
// continue with them: GC removes them. Every file of a promoted generation is read and
// verified; a damaged one is set aside and makes its shard suspect, which is not an error
// here: see View.
func Open(dir string, opts Options) (*Store, error) {
	s := &Store{
		dir: dir, env: environment{log: opts.Logger}, shards: map[string]*shard{}, writing: map[string]bool{},
		parts: newParts(), blockEntries: maxBlockEntries,
		builds: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
	}
	if s.env.log == nil {
		s.env.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("index: opening the store: %w", err)
	}
	var err error
	if s.blank, err = makeBlank(filepath.Join(dir, "blank"+openSuffix)); err != nil {
		return nil, fmt.Errorf("index: opening the store in %s: %w", dir, err)
	}
	if s.env.met, err = newMetrics(opts.Registerer); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("index: opening the store in %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// makeBlank returns the bytes of an empty bbolt file.
func makeBlank(path string) ([]byte, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true, PageSize: pageSize})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	blank, err := os.ReadFile(path)
	return blank, errors.Join(err, os.Remove(path))
}

func (s *Store) load() error {
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(s.dir, d.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			if id, tag, ok := partName(f.Name()); ok {
				s.parts.found(d.Name(), id, tag)
			}
			if strings.HasSuffix(f.Name(), openSuffix) {
				if err := os.Remove(filepath.Join(s.dir, d.Name(), f.Name())); err != nil {
					return err
				}
			}
		}
		if err := s.shard(d.Name()).reopen(); err != nil {
			return err
		}
	}
	return nil
}

// Close releases all shards. Open views remain valid until they are released. Writers
// must have been sealed or aborted; the next Open removes their files.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	shards := slices.Collect(maps.Values(s.shards))
	s.mu.Unlock()
	for _, sh := range shards {
		sh.work.Lock()
		sh.swap(nil, nil)
		sh.work.Unlock()
	}
	s.env.met.unregister()
	return nil
}

// Destinations returns the destinations that have files here, sorted.
func (s *Store) Destinations() ([]string, error) {
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("index: listing the store: %w", err)
	}
	var ids []string
	for _, d := range dirs {
		if d.IsDir() {
			ids = append(ids, d.Name())
		}
	}
	return ids, nil
}

// Verify reads a whole sealed segment and checks the checksums of the file and of each
// block, metadata and summary. A damaged segment is set aside: *CorruptError. It returns
// ErrNoSegment when there is none.
func (s *Store) Verify(destID, segmentID string) (SegmentInfo, error) {
	if err := checkName(destID, segmentID); err != nil {
		return SegmentInfo{}, err
	}
	sh := s.shard(destID)
	seg, err := sh.openSegment(segmentID)
	if err != nil {
		return SegmentInfo{}, err
	}
	defer seg.release()
	if err := seg.verify(); err != nil {
		return SegmentInfo{}, sh.damaged(seg, err)
	}
	return seg.info(seg.size), nil
}

// GC removes sealed segments of a destination that are neither selected by keep nor
// part of its generation, and incomplete copies of such segments. keep is called only
// after the files were listed, so that the state that it reads covers all of them.
func (s *Store) GC(destID string, keep func(segmentID string) bool) error {
	if err := checkName(destID); err != nil {
		return err
	}
	sh := s.shard(destID)
	sh.work.Lock()
	defer sh.work.Unlock()
	wanted := map[string]bool{}
	for _, ref := range sh.refs() {
		wanted[ref.ID] = true
	}
	return sh.removeUnless(func(id string) bool { return wanted[id] || keep(id) })
}

func (s *Store) shard(destID string) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shards[destID]
	if sh == nil {
		sh = &shard{env: &s.env, id: destID, dir: filepath.Join(s.dir, destID)}
		s.shards[destID] = sh
	}
	return sh
}

// beginWriting reserves the path of an unfinished segment.
func (s *Store) beginWriting(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.writing[path] {
		return fmt.Errorf("%w: %s is being written", ErrExists, path)
	}
	s.writing[path] = true
	return nil
}

func (s *Store) endWriting(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writing, path)
}
