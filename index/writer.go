package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// commitBytes is how much a writer gathers before it commits: what an open writer costs in memory is a few times this.
const commitBytes = 96 << 10

// pageSize of the bbolt files. A leaf holds at least two blocks and is rounded up to whole pages, so small pages waste less.
const pageSize = 1024

// A Writer builds one segment. It is not safe for concurrent use; several writers may be open at once. Its memory does not
// grow with the segment. After an error every call answers that error; Abort then removes what was written.
type Writer struct {
	store  *Store
	dest   string
	path   string // of the sealed file
	tmp    string // of the file that is being written
	db     *bolt.DB
	tx     *bolt.Tx
	blocks *bolt.Bucket
	lost   *bolt.Bucket
	block  builder
	arena  []byte // values of the open transaction
	extra  int    // bytes of missing records in the open transaction
	meta   segmentMeta
	sum    summary
	last   []byte // last path
	err    error
}

// NewSegment begins a segment of a destination. All paths added must be at or after start. ErrExists when a sealed segment
// of that name is there already.
func (s *Store) NewSegment(destID, segmentID string, start []byte) (*Writer, error) {
	if err := checkName(destID, segmentID); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, destID)
	path := filepath.Join(dir, segmentID+sealedSuffix)
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("%w: %s of destination %s", ErrExists, segmentID, destID)
	}
	w := &Writer{
		store: s, dest: destID, path: path, tmp: filepath.Join(dir, segmentID+openSuffix),
		meta: segmentMeta{Version: formatVersion, ID: segmentID, Start: bytes.Clone(start)},
	}
	if err := s.addWriter(w); err != nil {
		return nil, err
	}
	if err := w.create(); err != nil {
		return nil, errors.Join(w.fail("creating", err), w.Abort())
	}
	return w, nil
}

func (w *Writer) create() error {
	if err := os.MkdirAll(filepath.Dir(w.tmp), 0o700); err != nil {
		return err
	}
	// bbolt would sync a new file, so it is given one that is not new.
	if err := os.WriteFile(w.tmp, w.store.blank, 0o600); err != nil {
		return err
	}
	db, err := bolt.Open(w.tmp, 0o600, &bolt.Options{
		NoSync: true, NoGrowSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType,
		InitialMmapSize: 16 << 20, PageSize: pageSize, NoStatistics: true,
	})
	if err != nil {
		return err
	}
	w.db = db
	return w.begin()
}

func (w *Writer) begin() (err error) {
	if w.tx, err = w.db.Begin(true); err != nil {
		return err
	}
	if w.blocks, err = w.tx.CreateBucketIfNotExists(bucketBlocks); err != nil {
		return err
	}
	w.blocks.FillPercent = 1
	w.lost, err = w.tx.CreateBucketIfNotExists(bucketMissing)
	return err
}

func (w *Writer) commit() error {
	return guard(func() error {
		tx := w.tx
		w.tx = nil
		if err := tx.Commit(); err != nil {
			return errors.Join(err, ignoreClosed(tx.Rollback()))
		}
		w.arena, w.extra = w.arena[:0], 0
		return nil
	})
}

func ignoreClosed(err error) error {
	if errors.Is(err, bolt.ErrTxClosed) {
		return nil
	}
	return err
}

// Add appends a file. Paths ascend strictly, bytewise, and are not before the segment's start (ErrOrder). e and its path
// may be reused at once. It does not allocate, except for what a commit needs, once in some thousand files.
func (w *Writer) Add(e *Entry) error {
	if w.err != nil {
		return w.err
	}
	if len(e.Path) == 0 || len(e.Path) > MaxPath || e.Size < 0 || e.Type >= numTypes {
		return w.fail("adding to", fmt.Errorf("%w: path of %d bytes, size %d, type %d", ErrInvalid, len(e.Path), e.Size, e.Type))
	}
	if c := bytes.Compare(e.Path, w.last); c < 0 || c == 0 && w.Len() > 0 {
		return w.fail("adding to", fmt.Errorf("%w: %q after %q", ErrOrder, e.Path, w.last))
	}
	if w.Len() == 0 && bytes.Compare(e.Path, w.meta.Start) < 0 {
		return w.fail("adding to", fmt.Errorf("%w: %q is before the start %q", ErrOrder, e.Path, w.meta.Start))
	}
	w.last = append(w.last[:0], e.Path...)
	w.block.add(e)
	if w.block.full() {
		return w.endBlock()
	}
	return nil
}

// Len is the number of files added.
func (w *Writer) Len() int { return int(w.meta.Entries) + w.block.count }

// endBlock writes the block that is being built, if any.
func (w *Writer) endBlock() error {
	if w.err != nil || w.block.count == 0 {
		return w.err
	}
	if err := w.reserve(maxBlockBytes*2 + MaxPath*2); err != nil {
		return err
	}
	n := len(w.arena)
	w.arena = w.block.encode(w.arena)
	err := w.put(w.block.key, w.arena[n:len(w.arena):len(w.arena)], &w.block.head)
	w.block.count = 0
	return err
}

// copyBlock writes a whole block of another segment. Between two of its calls, endBlock must close what Add began.
func (w *Writer) copyBlock(key, val []byte, h *head) error {
	if err := w.reserve(len(val)); err != nil {
		return err
	}
	n := len(w.arena)
	w.arena = append(w.arena, val...)
	return w.put(key, w.arena[n:len(w.arena):len(w.arena)], h)
}

// reserve makes room for n bytes in the arena: bbolt refers to the values until it commits, so the arena must not move.
func (w *Writer) reserve(n int) error {
	if w.err != nil {
		return w.err
	}
	if len(w.arena) > 0 && len(w.arena)+n > cap(w.arena) || w.extra >= commitBytes {
		if err := w.turn(); err != nil {
			return err
		}
	}
	if cap(w.arena) < n {
		w.arena = make([]byte, 0, max(commitBytes+2*maxBlockBytes, n))
	}
	return nil
}

// turn commits and begins the next transaction.
func (w *Writer) turn() error {
	err := w.commit()
	if err == nil {
		err = w.begin()
	}
	if err != nil {
		return w.fail("writing", err)
	}
	return nil
}

func (w *Writer) put(key, val []byte, h *head) error {
	if err := w.blocks.Put(key, val); err != nil {
		return w.fail("writing", err)
	}
	w.meta.add(h)
	w.meta.Content += binary.LittleEndian.Uint64(val)
	w.sum.add(key, h)
	return nil
}

// AddMissing lists a record whose file is not in the segment, in any order. A record that is listed already is ignored.
func (w *Writer) AddMissing(m Missing) error {
	if w.err != nil {
		return w.err
	}
	if len(m.Path) == 0 || len(m.Path)+len(m.BackupID)+1 > bolt.MaxKeySize {
		return w.fail("adding a missing record to", fmt.Errorf("%w: path of %d bytes", ErrInvalid, len(m.Path)))
	}
	key, val := m.encode()
	if w.lost.Get(key) != nil {
		return nil
	}
	if err := w.lost.Put(key, val); err != nil {
		return w.fail("adding a missing record to", err)
	}
	w.meta.Missing++
	w.meta.Content += blockSum(key, val)
	if w.extra += len(key) + len(val) + 64; w.extra >= commitBytes {
		return w.turn()
	}
	return nil
}

// Seal ends the segment at end (exclusive; nil = unbounded) and makes it durable. classifiedAt is the catalog index that the
// links were read at, the oldest one when there were several. The writer is done, whatever Seal answers; after an error the
// file is gone.
func (w *Writer) Seal(end []byte, classifiedAt uint64) (SegmentInfo, error) {
	if err := w.endBlock(); err != nil {
		return SegmentInfo{}, errors.Join(err, w.Abort())
	}
	if w.Len() > 0 && !before(w.last, end) {
		err := w.fail("sealing", fmt.Errorf("%w: %q is not before the end %q", ErrOrder, w.last, end))
		return SegmentInfo{}, errors.Join(err, w.Abort())
	}
	w.meta.End, w.meta.ClassifiedAt, w.meta.Sealed = bytes.Clone(end), classifiedAt, w.meta.Content
	size, err := w.finish()
	if err != nil {
		return SegmentInfo{}, errors.Join(w.fail("sealing", err), w.Abort())
	}
	w.done()
	return w.meta.info(size), nil
}

// finish writes meta, summary and trailer, syncs, and gives the file its name.
func (w *Writer) finish() (size int64, err error) {
	b, err := w.tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return 0, err
	}
	meta, err := w.meta.encode()
	if err != nil {
		return 0, err
	}
	if err := errors.Join(b.Put(keyMeta, meta), b.Put(keySummary, w.sum.encode())); err != nil {
		return 0, err
	}
	if err := w.commit(); err != nil {
		return 0, err
	}
	if err := w.db.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		return 0, err
	}
	if err := w.closeDB(); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(w.tmp, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	if err := appendTrailer(f, size); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(w.tmp, w.path); err != nil {
		return 0, err
	}
	return size + trailerBytes, syncDir(filepath.Dir(w.path))
}

// Abort removes the unfinished segment. It may be called at any time, also after Seal, when it does nothing.
func (w *Writer) Abort() error {
	if w.closed() {
		return nil
	}
	err := w.closeDB()
	if e := os.Remove(w.tmp); !os.IsNotExist(e) {
		err = errors.Join(err, e)
	}
	w.done()
	if err != nil {
		return fmt.Errorf("index: removing the unfinished segment %s of destination %s: %w", w.meta.ID, w.dest, err)
	}
	return nil
}

func (w *Writer) closed() bool { return w.store == nil }

func (w *Writer) done() {
	w.store.removeWriter(w)
	w.store = nil
	if w.err == nil {
		w.err = ErrClosed
	}
}

func (w *Writer) closeDB() (err error) {
	if w.tx != nil {
		tx := w.tx
		w.tx = nil
		err = guard(tx.Rollback)
	}
	if w.db != nil {
		err = errors.Join(err, w.db.Close())
		w.db = nil
	}
	return err
}

func (w *Writer) fail(doing string, err error) error {
	if w.err == nil {
		w.err = fmt.Errorf("index: %s segment %s of destination %s: %w", doing, w.meta.ID, w.dest, err)
	}
	return w.err
}
