package index

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"firescan/keyspace"
)

// flushBytes is the size of the buffer of a writer.
const flushBytes = 64 << 10

// A Writer writes one segment. It is not safe for concurrent use; several writers may be
// open at once. Add writes to a plain file, from which Seal builds the bbolt file, so
// that an open writer needs about 128 KiB of memory however large the segment is. A small
// segment needs no plain file. After an error every call returns that error; Abort then
// removes the files.
type Writer struct {
	store *Store
	dest  string
	path  string   // of the sealed file
	tmp   string   // of the plain file
	file  *os.File // records as appendRecord writes them; nil while all are in buf
	buf   []byte   // records that are not in the file yet
	block builder
	meta  segmentMeta
	sum   summary
	last  []byte // last path
	err   error
}

// NewSegment begins a segment of a destination. All paths added must be at or after
// start. It returns ErrExists when a sealed segment of that name exists or one is being
// written.
func (s *Store) NewSegment(destID, segmentID string, start []byte) (*Writer, error) {
	if err := checkName(destID, segmentID); err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, destID, segmentID+sealedSuffix)
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("%w: %s of destination %s", ErrExists, segmentID, destID)
	}
	return s.newWriter(destID, segmentMeta{ID: segmentID, Start: bytes.Clone(start)})
}

// newWriter begins a file that finish renames into place, where it may replace another.
func (s *Store) newWriter(destID string, meta segmentMeta) (*Writer, error) {
	path := filepath.Join(s.dir, destID, meta.ID+sealedSuffix)
	w := &Writer{store: s, dest: destID, path: path, tmp: path + openSuffix, meta: meta}
	w.block.limit = s.blockEntries
	if err := s.beginWriting(w.tmp); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, errors.Join(w.fail("creating", err), w.Abort())
	}
	return w, nil
}

// Add appends a file. Paths ascend strictly, bytewise, and are not before the start of
// the segment (ErrOrder). The caller may reuse e and its path at once. Add does not
// allocate once its buffers have grown.
func (w *Writer) Add(e *Entry) error {
	if w.err != nil {
		return w.err
	}
	path := e.Path
	if len(path) == 0 || len(path) > MaxPath || e.Size < 0 || e.Type >= numTypes || e.ByStem && !e.Linked {
		return w.fail("adding to", fmt.Errorf("%w: path of %d bytes, size %d, type %d", ErrInvalid, len(path), e.Size, e.Type))
	}
	shared := keyspace.CommonPrefix(w.last, path)
	if shared == len(path) || shared < len(w.last) && path[shared] < w.last[shared] {
		return w.fail("adding to", fmt.Errorf("%w: %q after %q", ErrOrder, path, w.last))
	}
	if w.Len() == 0 && bytes.Compare(path, w.meta.Start) < 0 {
		return w.fail("adding to", fmt.Errorf("%w: %q is before the start %q", ErrOrder, path, w.meta.Start))
	}
	w.last = append(w.last[:shared], path[shared:]...)
	w.block.add(e, shared)
	if w.block.full() {
		return w.endBlock()
	}
	return nil
}

// Len returns the number of files added.
func (w *Writer) Len() int { return int(w.meta.Entries) + w.block.count }

// endBlock ends the current block, if any.
func (w *Writer) endBlock() error {
	if w.err != nil || w.block.count == 0 {
		return w.err
	}
	key := w.block.key
	// The length of the block stands before it, so it is encoded behind the buffer first.
	w.buf = appendRecord(w.buf, kindBlock, key, w.block.encode)
	w.account(key, w.block.sum, &w.block.head)
	w.block.count = 0
	return w.flush()
}

// copyBlock appends a whole block of another segment, after endBlock.
func (w *Writer) copyBlock(key, val []byte, h *head) error {
	w.buf = appendRecord(w.buf, kindBlock, key, func(dst []byte) []byte { return append(dst, val...) })
	w.account(key, binary.LittleEndian.Uint64(val), h)
	return w.flush()
}

func (w *Writer) account(key []byte, sum uint64, h *head) {
	w.meta.add(h)
	w.meta.Content += sum
	w.sum.add(key, h)
}

// AddMissing adds a record whose file is not in the segment, in any order. Duplicates are
// ignored.
func (w *Writer) AddMissing(m Missing) error {
	if w.err != nil {
		return w.err
	}
	if len(m.Path) == 0 || len(m.Path)+len(m.BackupID)+1 > bolt.MaxKeySize {
		return w.fail("adding a missing record to", fmt.Errorf("%w: path of %d bytes", ErrInvalid, len(m.Path)))
	}
	key, val := m.encode()
	return w.copyMissing(key, val)
}

func (w *Writer) copyMissing(key, val []byte) error {
	w.buf = appendRecord(w.buf, kindMissing, key, func(dst []byte) []byte { return append(dst, val...) })
	return w.flush()
}

// flush writes the buffer when it is full.
func (w *Writer) flush() (err error) {
	if w.err != nil || len(w.buf) < flushBytes {
		return w.err
	}
	if w.file == nil {
		if w.file, err = os.OpenFile(w.tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return w.fail("creating", err)
		}
	}
	if _, err := w.file.Write(w.buf); err != nil {
		return w.fail("writing", err)
	}
	w.buf = w.buf[:0]
	return nil
}

// records returns a reader of the added records.
func (w *Writer) records() (io.Reader, error) {
	if w.file == nil {
		return bytes.NewReader(w.buf), nil
	}
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.MultiReader(bufio.NewReaderSize(w.file, flushBytes), bytes.NewReader(w.buf)), nil
}

// Seal ends the segment at end (exclusive; nil = unbounded) and makes it durable.
// classifiedAt is the catalog index at which the links were read, the oldest one when
// there were several. The writer cannot be used afterwards; after an error its files are
// removed.
func (w *Writer) Seal(end []byte, classifiedAt uint64) (SegmentInfo, error) {
	err := w.endBlock()
	if err == nil && w.Len() > 0 && !keyspace.BeforeEnd(w.last, end) {
		err = w.fail("sealing", fmt.Errorf("%w: %q is not before the end %q", ErrOrder, w.last, end))
	}
	if err != nil {
		return SegmentInfo{}, errors.Join(err, w.Abort())
	}
	w.meta.End, w.meta.ClassifiedAt = bytes.Clone(end), classifiedAt
	size, err := w.finish()
	if err != nil {
		return SegmentInfo{}, err
	}
	return w.meta.info(size), nil
}

// finish builds the sealed file. The writer cannot be used afterwards.
func (w *Writer) finish() (int64, error) {
	if w.err != nil {
		return 0, errors.Join(w.err, w.Abort())
	}
	size, err := w.build()
	if err != nil {
		err = w.fail("sealing", err)
	}
	return size, errors.Join(err, w.Abort())
}

// Abort removes the unfinished segment. It may be called at any time, and does nothing
// after Seal.
func (w *Writer) Abort() error {
	if w.store == nil {
		return nil
	}
	var err error
	if w.file != nil {
		err = errors.Join(w.file.Close(), os.Remove(w.tmp))
	}
	w.store.endWriting(w.tmp)
	w.store = nil
	if w.err == nil {
		w.err = ErrClosed
	}
	if err != nil {
		return fmt.Errorf("index: removing the unfinished segment %s of destination %s: %w", w.meta.ID, w.dest, err)
	}
	return nil
}

func (w *Writer) fail(doing string, err error) error {
	if w.err == nil {
		w.err = fmt.Errorf("index: %s segment %s of destination %s: %w", doing, w.meta.ID, w.dest, err)
	}
	return w.err
}
