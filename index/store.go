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

const (
	sealedSuffix = ".seg"
	openSuffix   = ".tmp"
	badSuffix    = ".bad"
)

// Options configure a store. The zero value logs nothing and registers nothing.
type Options struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Store keeps the segments of a node: <dir>/<destination>/<segment>.seg, and a manifest for each destination with a
// promoted generation. Safe for concurrent use.
type Store struct {
	dir   string
	log   *slog.Logger
	met   *metrics
	res   residency
	blank []byte // an empty bbolt file
	parts *parts // copies that were broken off, and those under way

	blockEntries int           // tests make it small
	builds       chan struct{} // one slot for each segment that may be built at once

	mu      sync.Mutex
	shards  map[string]*shard
	writers map[string]*Writer // by path of the unfinished file
	closed  bool
}

// Open opens the store in dir, which is made when it does not exist. Unfinished segments are removed. Sealed segments which
// no generation names stay, for a sync may go on with them: Sweep drops them. Every file of a promoted generation is read
// and checked; a damaged one is set aside and makes its shard suspect, which is no error here: see View.
func Open(dir string, opts Options) (*Store, error) {
	s := &Store{
		dir: dir, log: opts.Logger, shards: map[string]*shard{}, writers: map[string]*Writer{},
		parts: newParts(), blockEntries: maxBlockEntries,
		builds: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("index: opening the store: %w", err)
	}
	var err error
	if s.blank, err = makeBlank(filepath.Join(dir, "blank"+openSuffix)); err != nil {
		return nil, fmt.Errorf("index: opening the store in %s: %w", dir, err)
	}
	if s.met, err = newMetrics(opts.Registerer); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("index: opening the store in %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// makeBlank answers the bytes of an empty bbolt file.
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

// Close releases all shards. Views that are still open stay good until they are released. Writers must have been sealed or
// aborted; what they leave behind is removed by the next Open.
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
	s.met.unregister()
	return nil
}

// Destinations lists those that have files here, sorted.
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

// Verify reads all of a sealed segment: the file's checksum, each block's, and that meta and summary fit them. A damaged
// one is set aside: *CorruptError. ErrNoSegment when there is none.
func (s *Store) Verify(destID, segmentID string) (SegmentInfo, error) {
	if err := checkName(destID, segmentID); err != nil {
		return SegmentInfo{}, err
	}
	seg, err := s.openSegment(destID, segmentID)
	if err != nil {
		return SegmentInfo{}, err
	}
	defer seg.release()
	if err := seg.verify(); err != nil {
		return SegmentInfo{}, s.damaged(seg, err)
	}
	return seg.info(seg.size), nil
}

// Sweep removes a destination's sealed segments that are neither kept, by id, nor part of its generation, and copies of such
// that were broken off. keep is called only after the files were listed, so that what it looks up then is true for all of them.
func (s *Store) Sweep(destID string, keep func(segmentID string) bool) error {
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

// openSegment opens and checks a segment; a damaged one is set aside and makes a shard that uses it suspect.
func (s *Store) openSegment(destID, segmentID string) (*segment, error) {
	path := filepath.Join(s.dir, destID, segmentID+sealedSuffix)
	seg, err := openSegment(path, destID, segmentID, s.met, &s.res)
	if errors.Is(err, errCorrupt) {
		return nil, s.shard(destID).suspect(segmentID, nil, err)
	}
	return seg, err
}

// setAside renames a damaged file and answers the error that names it.
func (s *Store) setAside(destID, segmentID, path string, cause error) *CorruptError {
	s.met.corrupt.Inc()
	err := &CorruptError{Destination: destID, Segment: segmentID, Err: cause}
	s.log.Error("index: damaged file set aside", "destination", destID, "segment", segmentID, "file", path+badSuffix, "error", cause)
	if e := os.Rename(path, path+badSuffix); e != nil && !os.IsNotExist(e) {
		err.Err = errors.Join(cause, e)
	}
	return err
}

// damaged turns an error from reading seg that marks damage into a CorruptError and makes the shard suspect when it uses seg.
// Other errors pass, and so do those that have been turned already.
func (s *Store) damaged(seg *segment, cause error) error {
	if _, done := errors.AsType[*CorruptError](cause); done || !errors.Is(cause, errCorrupt) {
		return cause
	}
	return s.shard(seg.dest).suspect(seg.ID, seg.stat, cause)
}

func (s *Store) shard(destID string) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shards[destID]
	if sh == nil {
		sh = &shard{store: s, id: destID, dir: filepath.Join(s.dir, destID)}
		s.shards[destID] = sh
	}
	return sh
}

func (s *Store) addWriter(w *Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.writers[w.tmp] != nil {
		return fmt.Errorf("%w: %s of destination %s is being written", ErrExists, w.meta.ID, w.dest)
	}
	s.writers[w.tmp] = w
	return nil
}

func (s *Store) removeWriter(w *Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writers, w.tmp)
}

// checkName refuses ids that are no plain file names.
func checkName(names ...string) error {
	for _, n := range names {
		if n == "" || len(n) > 128 || n[0] == '.' || strings.ContainsAny(n, "/\\\x00") {
			return fmt.Errorf("%w: %q is no name for a destination or segment", ErrInvalid, n)
		}
	}
	return nil
}
