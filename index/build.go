package index

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// commitBytes is how much goes into one bbolt transaction. Each one rewrites the last leaf and
// leaves a hole where that was, so larger ones make smaller files.
const commitBytes = 1 << 20

// The kinds of records in a writer's plain file.
const (
	kindBlock byte = iota
	kindMissing
)

// appendRecord appends a pair: kind, 1 byte; length of key and value, 4 bytes each,
// little endian; key; value.
func appendRecord(dst []byte, kind byte, key []byte, value func([]byte) []byte) []byte {
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(key)))
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, key...)
	n := len(dst)
	dst = value(dst)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-n))
	return dst
}

var arenas = sync.Pool{New: func() any { return new(make([]byte, 0, commitBytes+commitBytes/8)) }}

// build makes the bbolt file from the plain one, syncs it once, and renames it into
// place. The number of concurrent builds is limited to bound their memory.
func (w *Writer) build() (size int64, err error) {
	w.store.builds <- struct{}{}
	defer func() { <-w.store.builds }()
	tmp := w.path + ".build" + openSuffix
	defer func() {
		if err != nil {
			if e := os.Remove(tmp); !os.IsNotExist(e) {
				err = errors.Join(err, e)
			}
		}
	}()
	if size, err = w.fill(tmp); err != nil {
		return 0, err
	}
	if err := os.Rename(tmp, w.path); err != nil {
		return 0, err
	}
	return size + trailerBytes, syncDir(filepath.Dir(w.path))
}

// fill writes the bbolt file at path with its trailer, syncs it, and returns the size of
// the part that belongs to bbolt.
func (w *Writer) fill(path string) (size int64, err error) {
	// bbolt would sync a new file, so it is given one that is not new.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	if _, err := f.Write(w.store.blank); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		NoSync: true, NoGrowSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType,
		InitialMmapSize: 16 << 20, PageSize: pageSize, NoStatistics: true,
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return 0, err // bbolt has closed the file
	}
	defer func() {
		if !errors.Is(err, errFault) { // bbolt may hold its locks after a fault
			err = errors.Join(err, db.Close())
		}
	}()
	records, err := w.records()
	if err != nil {
		return 0, err
	}
	arena := arenas.Get().(*[]byte)
	defer arenas.Put(arena)
	for more := true; more; {
		err := guard(func() error {
			return db.Update(func(tx *bolt.Tx) (err error) {
				if more, err = w.putSome(tx, records, arena); more || err != nil {
					return err
				}
				return w.putMeta(tx)
			})
		})
		if err != nil {
			return 0, err
		}
	}
	if err = db.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		return 0, err
	}
	// The map of the file is no longer read, so it may be truncated.
	if err := appendTrailer(f, size); err != nil {
		return 0, err
	}
	return size, f.Sync()
}

// putSome moves records to the transaction until the arena is full; more is false at the
// end.
func (w *Writer) putSome(tx *bolt.Tx, in io.Reader, arena *[]byte) (more bool, err error) {
	blocks, err := tx.CreateBucketIfNotExists(bucketBlocks)
	if err != nil {
		return false, err
	}
	blocks.FillPercent = 1
	missing, err := tx.CreateBucketIfNotExists(bucketMissing)
	if err != nil {
		return false, err
	}
	*arena = (*arena)[:0]
	for len(*arena) < commitBytes {
		var head [9]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			if err == io.EOF {
				return false, nil
			}
			return false, err
		}
		// bbolt refers to values until it commits. Growing the arena leaves the old array
		// to them.
		k, v := int(binary.LittleEndian.Uint32(head[1:])), int(binary.LittleEndian.Uint32(head[5:]))
		at := len(*arena)
		*arena = slices.Grow(*arena, k+v)[:at+k+v]
		pair := (*arena)[at : at+k+v : at+k+v]
		if _, err := io.ReadFull(in, pair); err != nil {
			return false, err
		}
		key, val := pair[:k], pair[k:]
		if head[0] == kindBlock {
			if err := blocks.Put(key, val); err != nil {
				return false, err
			}
			continue
		}
		if missing.Get(key) != nil {
			continue
		}
		if err := missing.Put(key, val); err != nil {
			return false, err
		}
		w.meta.Missing++
		w.meta.Content += blockSum(key, val)
	}
	return true, nil
}

// putMeta writes meta and summary after everything else.
func (w *Writer) putMeta(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if w.meta.Applied == 0 {
		w.meta.Sealed = w.meta.Content
	}
	meta, err := w.meta.encode()
	if err != nil {
		return err
	}
	return errors.Join(b.Put(keyMeta, meta), b.Put(keySummary, w.sum.encode()))
}
