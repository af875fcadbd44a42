package index

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Has reports whether the store has the file of a sealed segment, which is verified when
// it is opened.
func (s *Store) Has(destID, segmentID string) bool {
	if checkName(destID, segmentID) != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(s.dir, destID, segmentID+sealedSuffix))
	return err == nil
}

// OpenSealed verifies the file of a sealed segment and opens it for copying to another
// node. Its content never changes. tag differs between files of different content, also
// of the same segment after a delta. The caller closes the file. It returns ErrNoSegment
// when there is none, and *CorruptError when the file was damaged and has been set aside.
func (s *Store) OpenSealed(destID, segmentID string) (f *os.File, tag string, err error) {
	if err := checkName(destID, segmentID); err != nil {
		return nil, "", err
	}
	f, err = os.Open(filepath.Join(s.dir, destID, segmentID+sealedSuffix))
	if os.IsNotExist(err) {
		return nil, "", fmt.Errorf("%w: %s of destination %s", ErrNoSegment, segmentID, destID)
	}
	if err != nil {
		return nil, "", fmt.Errorf("index: opening segment %s of destination %s: %w", segmentID, destID, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = checkTrailer(f, info.Size())
	}
	if errors.Is(err, errCorrupt) {
		return nil, "", errors.Join(s.shard(destID).suspect(segmentID, info, err), f.Close())
	}
	var sum [checksumBytes]byte
	if err == nil {
		_, err = f.ReadAt(sum[:], info.Size()-checksumBytes)
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("index: reading segment %s of destination %s: %w", segmentID, destID, err), f.Close())
	}
	return f, hex.EncodeToString(sum[:]), nil
}

// An Incoming is a copy of a sealed segment from another node. It is for one goroutine.
type Incoming struct {
	store    *Store
	dest, id string
	f        *os.File // nil if there is no copy
	tag      string
	offset   int64
	ended    bool
}

// Receive starts a copy of a segment, or resumes an interrupted one, also after a
// restart: see Tag and Offset. It returns ErrExists while a copy is in progress. The
// caller ends it with Commit or Close.
func (s *Store) Receive(destID, segmentID string) (*Incoming, error) {
	if err := checkName(destID, segmentID); err != nil {
		return nil, err
	}
	in := &Incoming{store: s, dest: destID, id: segmentID}
	var err error
	if in.tag, err = s.parts.begin(destID, segmentID); err != nil {
		return nil, in.wrap(err)
	}
	if err := in.resume(); err != nil {
		in.end()
		return nil, in.wrap(err)
	}
	return in, nil
}

// resume opens the file of an earlier Incoming.
func (in *Incoming) resume() error {
	if err := os.MkdirAll(filepath.Join(in.store.dir, in.dest), 0o700); err != nil || in.tag == "" {
		return err
	}
	f, err := os.OpenFile(in.path(), os.O_WRONLY|os.O_APPEND, 0o600)
	if os.IsNotExist(err) { // it was removed by GC
		in.tag = ""
		return nil
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	in.f, in.offset = f, info.Size()
	return nil
}

func (in *Incoming) path() string {
	return filepath.Join(in.store.dir, in.dest, in.id+"."+in.tag+partSuffix)
}

func (in *Incoming) wrap(err error) error {
	return fmt.Errorf("index: copying segment %s of destination %s: %w", in.id, in.dest, err)
}

// Tag returns the tag of the file of which the first Offset bytes were copied, empty if
// none.
func (in *Incoming) Tag() string { return in.tag }

// Offset returns the number of bytes copied.
func (in *Incoming) Offset() int64 { return in.offset }

// Begin starts the copy again with a file of the given tag, a plain name of at most 64
// letters and digits.
func (in *Incoming) Begin(tag string) error {
	if len(tag) > 64 || checkName(tag) != nil || strings.Contains(tag, ".") {
		return in.wrap(fmt.Errorf("%w: %q is not a tag", ErrInvalid, tag))
	}
	if err := in.discard(); err != nil {
		return in.wrap(err)
	}
	in.tag = tag
	f, err := os.OpenFile(in.path(), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		in.tag = ""
		return in.wrap(err)
	}
	in.f = f
	return nil
}

// Write implements io.Writer. After a failed write the copy is removed: a useless file
// must not keep a full disk full.
func (in *Incoming) Write(p []byte) (int, error) {
	if in.f == nil {
		return 0, in.wrap(errors.New("Begin was not called"))
	}
	n, err := in.f.Write(p)
	in.offset += int64(n)
	if err != nil {
		return n, in.wrap(errors.Join(err, in.discard()))
	}
	return n, nil
}

// Close interrupts the copy, which stays for a later Receive. After Commit it does
// nothing.
func (in *Incoming) Close() error {
	err := in.close()
	in.end()
	return err
}

// end releases the segment for the next Receive, once.
func (in *Incoming) end() {
	if !in.ended {
		in.ended = true
		in.store.parts.end(in.dest, in.id, in.tag)
	}
}

func (in *Incoming) close() (err error) {
	if in.f != nil {
		err = in.f.Close()
		in.f = nil
	}
	return err
}

// discard removes the incomplete copy.
func (in *Incoming) discard() error {
	if in.tag == "" {
		return nil
	}
	err := in.close()
	if e := os.Remove(in.path()); !os.IsNotExist(e) {
		err = errors.Join(err, e)
	}
	in.tag, in.offset = "", 0
	return err
}

// Commit makes the copy a sealed segment of the store, durably, if it is complete and
// Seal returned the checksum sealed for it. Otherwise the copy is removed, and the error
// is a *CorruptError.
func (in *Incoming) Commit(sealed uint64) error {
	defer in.end()
	if in.f == nil {
		return in.wrap(errors.New("Begin was not called"))
	}
	// After a failed sync the content of the disk is undefined.
	if err := errors.Join(in.f.Sync(), in.close()); err != nil {
		return in.wrap(errors.Join(err, in.discard()))
	}
	seg, err := openSegment(in.path(), in.dest, in.id, in.store.env.met, &in.store.env.res)
	if err == nil {
		if seg.Sealed != sealed {
			err = corruptf("its checksum is %016x, not %016x", seg.Sealed, sealed)
		}
		seg.release()
	}
	if errors.Is(err, errCorrupt) {
		return &CorruptError{Destination: in.dest, Segment: in.id, Err: errors.Join(err, in.discard())}
	}
	dir := filepath.Join(in.store.dir, in.dest)
	if err == nil {
		err = os.Rename(in.path(), filepath.Join(dir, in.id+sealedSuffix))
	}
	if err != nil {
		return in.wrap(err)
	}
	in.tag = ""
	if err := syncDir(dir); err != nil {
		return in.wrap(err)
	}
	return nil
}
