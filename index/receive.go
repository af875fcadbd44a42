package index

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Has tells whether the store has a sealed segment. Whether it is whole is seen when it is
// opened.
func (s *Store) Has(destID, segmentID string) bool {
	if checkName(destID, segmentID) != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(s.dir, destID, segmentID+sealedSuffix))
	return err == nil
}

// OpenSealed opens the file of a sealed segment for copying it to another node, after it has
// checked all of it: damage is not handed on. What is read from it never changes. tag tells
// its content from that of every other file, also of the same segment after a delta. The
// caller closes the file. ErrNoSegment when there is none; *CorruptError when it was found
// damaged now, and set aside.
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

// An Incoming is a sealed segment on its way from another node. It is for one goroutine.
type Incoming struct {
	store    *Store
	dest, id string
	f        *os.File // nil: nothing is here
	tag      string
	offset   int64
}

// Receive begins to take in a copy of a segment, or goes on with one that was broken off,
// also by a restart: see Tag and Offset. ErrExists while one is under way. The caller ends it
// with Commit or Close.
func (s *Store) Receive(destID, segmentID string) (*Incoming, error) {
	if err := checkName(destID, segmentID); err != nil {
		return nil, err
	}
	in := &Incoming{store: s, dest: destID, id: segmentID}
	if err := s.parts.take(in); err != nil {
		return nil, err
	}
	if err := in.resume(); err != nil {
		s.parts.leave(in)
		return nil, in.wrap(err)
	}
	return in, nil
}

// resume opens what an earlier Incoming left.
func (in *Incoming) resume() error {
	if err := os.MkdirAll(filepath.Join(in.store.dir, in.dest), 0o700); err != nil || in.tag == "" {
		return err
	}
	f, err := os.OpenFile(in.path(), os.O_WRONLY|os.O_APPEND, 0o600)
	if os.IsNotExist(err) { // it was swept
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
	return fmt.Errorf("index: taking in segment %s of destination %s: %w", in.id, in.dest, err)
}

// Tag is that of the file of which the first Offset bytes are here; empty is none.
func (in *Incoming) Tag() string { return in.tag }

// Offset is how many bytes are here.
func (in *Incoming) Offset() int64 { return in.offset }

// Begin begins anew with a file of the given tag, which is a plain name of at most 64
// letters and digits.
func (in *Incoming) Begin(tag string) error {
	if len(tag) > 64 || checkName(tag) != nil || strings.Contains(tag, ".") {
		return in.wrap(fmt.Errorf("%w: %q is no tag", ErrInvalid, tag))
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

// Write implements io.Writer. What cannot be written is given up as a whole: a full disk is
// not kept full by what is of no use yet.
func (in *Incoming) Write(p []byte) (int, error) {
	if in.f == nil {
		return 0, in.wrap(errors.New("nothing was begun"))
	}
	n, err := in.f.Write(p)
	in.offset += int64(n)
	if err != nil {
		return n, in.wrap(errors.Join(err, in.discard()))
	}
	return n, nil
}

// Close breaks off; what is here stays for a later Receive. After Commit it does nothing.
func (in *Incoming) Close() error {
	err := in.close()
	in.store.parts.leave(in)
	return err
}

func (in *Incoming) close() (err error) {
	if in.f != nil {
		err = in.f.Close()
		in.f = nil
	}
	return err
}

// discard removes what is here.
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

// Commit makes the copy a sealed segment of the store, durably, if it is whole and the one
// whose Seal answered the checksum sealed. Otherwise what is here is removed, and the error
// is a *CorruptError.
func (in *Incoming) Commit(sealed uint64) error {
	defer in.store.parts.leave(in)
	if in.f == nil {
		return in.wrap(errors.New("nothing was begun"))
	}
	// After a failed sync nobody knows what is on the disk.
	if err := errors.Join(in.f.Sync(), in.close()); err != nil {
		return in.wrap(errors.Join(err, in.discard()))
	}
	seg, err := openSegment(in.path(), in.dest, in.id, in.store.met, &in.store.res)
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
