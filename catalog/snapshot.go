package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"go.etcd.io/bbolt"
)

// A snapshot is a header, the bbolt file as one read transaction sees it, and
// the CRC-32C of both.
const (
	snapshotMagic  = "firescan catalog snapshot\n"
	snapshotHeader = len(snapshotMagic) + 4 + 8 + 8 + 8
)

// SnapshotInfo is the header of a snapshot.
type SnapshotInfo struct {
	// Version is the format version of the catalog file in it.
	Version uint32
	// Index and Term are those of the last entry that it includes.
	Index, Term uint64
	// Size is the length of the catalog file in it, in bytes.
	Size int64
}

// A Snapshot can write the state of the catalog at Index, or later: the file is durable,
// so nothing is copied until WriteTo.
type Snapshot struct {
	// Index and Term are those of the last entry applied when the snapshot was taken.
	Index, Term uint64
	catalog     *Catalog
}

// Snapshot takes a snapshot. It reads one key, however large the catalog is.
func (c *Catalog) Snapshot() (Snapshot, error) {
	s := Snapshot{catalog: c}
	err := c.View(func(tx *Tx) error {
		s.Index, s.Term = applied(tx.tx)
		return nil
	})
	return s, err
}

// WriteTo writes the state at the time of the call, which includes Index. Apply and Views
// continue meanwhile; pages that they free are reused only when it has finished, so the
// file may grow. A Restore or Close waits for it.
func (s Snapshot) WriteTo(w io.Writer) (int64, error) {
	tx, err := s.catalog.begin()
	if err != nil {
		return 0, err
	}
	n, err := writeSnapshot(w, tx)
	if err := errors.Join(err, tx.Rollback()); err != nil {
		return n, fmt.Errorf("write a snapshot of the catalog: %w", err)
	}
	return n, nil
}

// Release does nothing: a snapshot holds no resources. The raft library requires it.
func (s Snapshot) Release() {}

// begin opens a read transaction that outlives the lock. Its file is not closed before it
// ends, because Close of bbolt waits.
func (c *Catalog) begin() (*bbolt.Tx, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.db == nil {
		return nil, ErrClosed
	}
	return c.db.Begin(false)
}

func writeSnapshot(w io.Writer, tx *bbolt.Tx) (int64, error) {
	sum := &checksumWriter{w: w, hash: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	index, term := applied(tx)
	if _, err := sum.Write(appendHeader(nil, SnapshotInfo{formatVersion, index, term, tx.Size()})); err != nil {
		return sum.n, err
	}
	if _, err := tx.WriteTo(sum); err != nil {
		return sum.n, err
	}
	n, err := w.Write(binary.BigEndian.AppendUint32(nil, sum.hash.Sum32()))
	return sum.n + int64(n), err
}

func appendHeader(dst []byte, i SnapshotInfo) []byte {
	dst = append(dst, snapshotMagic...)
	dst = binary.BigEndian.AppendUint32(dst, i.Version)
	dst = binary.BigEndian.AppendUint64(dst, i.Index)
	dst = binary.BigEndian.AppendUint64(dst, i.Term)
	return binary.BigEndian.AppendUint64(dst, uint64(i.Size))
}

// A checksumWriter counts and checksums what passes through.
type checksumWriter struct {
	w    io.Writer
	hash hash.Hash32
	n    int64
}

func (s *checksumWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	return n, err
}

// ReadSnapshotInfo reads the header of a snapshot and nothing else. It fails with
// ErrFormat on anything else, and on a snapshot of a newer version.
func ReadSnapshotInfo(r io.Reader) (SnapshotInfo, error) {
	header := make([]byte, snapshotHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = ErrDamaged
		}
		return SnapshotInfo{}, fmt.Errorf("read the header of a catalog snapshot: %w", err)
	}
	if string(header[:len(snapshotMagic)]) != snapshotMagic {
		return SnapshotInfo{}, fmt.Errorf("not a catalog snapshot: %w", ErrFormat)
	}
	rest := header[len(snapshotMagic):]
	if err := checkFormat(rest[:4]); err != nil {
		return SnapshotInfo{}, fmt.Errorf("the catalog snapshot has %w", err)
	}
	info := SnapshotInfo{
		Version: binary.BigEndian.Uint32(rest),
		Index:   binary.BigEndian.Uint64(rest[4:]),
		Term:    binary.BigEndian.Uint64(rest[12:]),
		Size:    int64(binary.BigEndian.Uint64(rest[20:])),
	}
	if info.Size <= 0 {
		return SnapshotInfo{}, fmt.Errorf("the header of the catalog snapshot has a length of %d bytes: %w", info.Size, ErrDamaged)
	}
	return info, nil
}
