package index

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// partSuffix is of files that are being copied from another node: <segment>.<tag>.part.
const partSuffix = ".part"

// Has tells whether the store has a sealed segment. Whether it is whole is seen when it is
// opened.
func (s *Store) Has(destID, segmentID string) bool {
	if checkName(destID, segmentID) != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(s.dir, destID, segmentID+sealedSuffix))
	return err == nil
}

// OpenSealed opens the file of a sealed segment for copying it to another node. What is
// read from it never changes. tag tells its content from that of every other file, also of
// the same segment after a delta. The caller closes the file. ErrNoSegment when there is none.
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
	store          *Store
	dest, id, path string
	f              *os.File
	tag            string
	offset         int64
}

// Receive begins to take in a copy of a segment, or goes on with one that was broken off,
// also by a restart: see Tag and Offset. Only one may be under way for a segment. The
// caller ends it with Commit or Close.
func (s *Store) Receive(destID, segmentID string) (*Incoming, error) {
	if err := checkName(destID, segmentID); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, destID)
	in := &Incoming{store: s, dest: destID, id: segmentID}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, in.wrap(err)
	}
	parts, err := filepath.Glob(filepath.Join(dir, segmentID+".*"+partSuffix))
	if err != nil || len(parts) == 0 {
		return in, nil //nolint:nilerr // the pattern is sound
	}
	in.path = parts[0]
	in.tag = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(in.path), segmentID+"."), partSuffix)
	if in.f, err = os.OpenFile(in.path, os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, in.wrap(err)
	}
	info, err := in.f.Stat()
	if err != nil {
		return nil, in.wrap(errors.Join(err, in.f.Close()))
	}
	in.offset = info.Size()
	return in, nil
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
		return err
	}
	in.path = filepath.Join(in.store.dir, in.dest, in.id+"."+tag+partSuffix)
	f, err := os.OpenFile(in.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return in.wrap(err)
	}
	in.f, in.tag, in.offset = f, tag, 0
	return nil
}

// Write implements io.Writer.
func (in *Incoming) Write(p []byte) (int, error) {
	if in.f == nil {
		return 0, in.wrap(errors.New("nothing was begun"))
	}
	n, err := in.f.Write(p)
	in.offset += int64(n)
	return n, err
}

// Close breaks off; what is here stays for a later Receive.
func (in *Incoming) Close() error {
	if in.f == nil {
		return nil
	}
	err := in.f.Close()
	in.f = nil
	return err
}

// discard removes what is here.
func (in *Incoming) discard() error {
	if in.f == nil {
		return nil
	}
	err := errors.Join(in.Close(), os.Remove(in.path))
	in.tag, in.offset = "", 0
	if err != nil {
		return in.wrap(err)
	}
	return nil
}

// Commit makes the copy a sealed segment of the store, durably, if it is whole and the one
// whose Seal answered the checksum sealed. Otherwise what is here is removed, and the error
// is a *CorruptError.
func (in *Incoming) Commit(sealed uint64) error {
	if in.f == nil {
		return in.wrap(errors.New("nothing was begun"))
	}
	if err := in.f.Sync(); err != nil {
		return in.wrap(errors.Join(err, in.Close()))
	}
	seg, err := openSegment(in.path, in.dest, in.id, in.store.met, &in.store.res)
	if err == nil {
		if seg.Sealed != sealed {
			err = corruptf("its checksum is %016x, not %016x", seg.Sealed, sealed)
		}
		seg.release()
	}
	if err != nil {
		return &CorruptError{Destination: in.dest, Segment: in.id, Err: errors.Join(err, in.discard())}
	}
	if err := in.Close(); err != nil {
		return in.wrap(err)
	}
	dir := filepath.Join(in.store.dir, in.dest)
	if err := os.Rename(in.path, filepath.Join(dir, in.id+sealedSuffix)); err != nil {
		return in.wrap(err)
	}
	if err := syncDir(dir); err != nil {
		return in.wrap(err)
	}
	return nil
}
