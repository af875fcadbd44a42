package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Restore replaces the whole catalog by a snapshot. Until the snapshot is complete and
// verified, the old catalog stays; a failed Restore changes nothing. Running Views finish
// on the old file first, then the file is replaced.
//
// Entries up to the index of the snapshot count as applied from then on, also when that
// is less, or more, than before. After restoring a snapshot of another log, the next
// entries must have greater indexes (see ReadSnapshotInfo).
func (c *Catalog) Restore(r io.Reader) error {
	name, info, err := c.receive(r)
	if err != nil {
		return fmt.Errorf("restore the catalog: %w", err)
	}
	fresh, err := openReceived(name, info)
	if err != nil {
		return errors.Join(fmt.Errorf("restore the catalog: %w", err), os.Remove(name))
	}
	old, err := c.swap(fresh, name)
	if err != nil {
		return errors.Join(fmt.Errorf("restore the catalog: %w", err), fresh.Close(), os.Remove(name))
	}
	c.advance(info.Index)
	c.log.Info("the catalog was restored from a snapshot", "index", info.Index, "bytes", info.Size)
	if err := old.Close(); err != nil { // waits for snapshots that are being streamed
		return fmt.Errorf("close the catalog that was replaced: %w", err)
	}
	return nil
}

// swap replaces the old file by the new one, with no transaction running.
func (c *Catalog) swap(fresh *bbolt.DB, name string) (old *bbolt.DB, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db == nil {
		return nil, ErrClosed
	}
	if err := os.Rename(name, c.path); err != nil {
		return nil, err
	}
	old, c.db = c.db, fresh
	c.scrubs.abort()
	c.damage.Store(nil)
	if err := syncDir(filepath.Dir(c.path)); err != nil {
		// The new file is in place. After a power failure now, the old one may be
		// back, and the log brings it up to date again.
		c.log.Warn("could not sync the directory of the catalog after a restore", "error", err)
	}
	return old, nil
}

// receive writes the file of a snapshot beside the catalog file and verifies its
// checksum.
func (c *Catalog) receive(r io.Reader) (name string, info SnapshotInfo, err error) {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	info, err = ReadSnapshotInfo(io.TeeReader(r, sum))
	if err != nil {
		return "", info, err
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+restoreSuffix+"*")
	if err != nil {
		return "", info, err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if n, err := io.CopyN(io.MultiWriter(f, sum), r, info.Size); err != nil {
		return "", info, cutShort(err, fmt.Sprintf("%d of %d bytes", n, info.Size))
	}
	var trailer [4]byte
	if _, err := io.ReadFull(r, trailer[:]); err != nil {
		return "", info, cutShort(err, "no checksum")
	}
	if binary.BigEndian.Uint32(trailer[:]) != sum.Sum32() {
		return "", info, fmt.Errorf("the checksum of the snapshot is wrong: %w", ErrDamaged)
	}
	return f.Name(), info, f.Sync()
}

func cutShort(err error, what string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the snapshot ends too early (%s): %w", what, ErrDamaged)
	}
	return err
}

// openReceived opens the file of a snapshot and compares it with the header.
func openReceived(name string, info SnapshotInfo) (*bbolt.DB, error) {
	db, err := openFile(name)
	if err != nil {
		return nil, err
	}
	index, err := prepare(db)
	if err == nil && index != info.Index {
		err = fmt.Errorf("the header has index %d, the file %d: %w", info.Index, index, ErrDamaged)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
