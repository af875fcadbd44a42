package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// restoreSuffix, followed by digits, ends the name of a file that Restore is writing.
const restoreSuffix = ".restore-"

// openFile opens a bbolt file with the options of all catalogs. bbolt checks the order of
// all keys to find the free pages, and panics.
func openFile(path string) (db *bbolt.DB, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("open the catalog %s: %w (%v): to get another copy, stop this node, remove its data directory and start it with --join, "+
				"unless it is the only one: then put back a copy of the data directory, or import all records into a new one", path, ErrCatalogDamaged, reason)
		}
	}()
	opts := &bbolt.Options{
		Timeout: 5 * time.Second,
		// Free pages are found by a scan when the file is opened, instead of being
		// written with each commit.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	}
	if runtime.GOOS != "windows" && ^uint(0)>>63 == 1 {
		// To grow its mapping, bbolt waits for every reader to finish, so a snapshot
		// to a slow follower would stop Apply. Address space costs nothing: map more
		// than the file will ever need.
		opts.InitialMmapSize = 1 << 36
	}
	db, err = bbolt.Open(path, 0o600, opts)
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("open the catalog %s: another process has it open: stop that process, or give this node another data directory: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the catalog %s: %w", path, err)
	}
	return db, nil
}

// prepare creates missing buckets, checks the format of an existing file and upgrades it,
// and returns the applied index.
func prepare(db *bbolt.DB) (index uint64, err error) {
	err = db.Update(func(tx *bbolt.Tx) error {
		version := uint32(formatVersion)
		if meta := tx.Bucket([]byte(inMeta)); meta != nil {
			v := meta.Get([]byte(metaFormat))
			if err := checkFormat(v); err != nil {
				return err
			}
			version = binary.BigEndian.Uint32(v)
		} else if k, _ := tx.Cursor().First(); k != nil {
			return fmt.Errorf("not a catalog file (it contains the bucket %q): %w", k, ErrFormat)
		}
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return fmt.Errorf("create the bucket %s: %w", name, err)
			}
		}
		if err := upgrade(tx, version); err != nil {
			return fmt.Errorf("upgrade from format version %d: %w", version, err)
		}
		index, _ = applied(tx)
		return tx.Bucket([]byte(inMeta)).Put([]byte(metaFormat), binary.BigEndian.AppendUint32(nil, formatVersion))
	})
	if err == nil {
		err = addLinkChecksums(db, checksumsPerTx)
	}
	return index, err
}

func checkFormat(v []byte) error {
	if len(v) != 4 {
		return fmt.Errorf("no format version: %w", ErrFormat)
	}
	if got := binary.BigEndian.Uint32(v); got == 0 || got > formatVersion {
		return fmt.Errorf("format version %d, this version of firescan reads up to %d: upgrade this node: %w", got, formatVersion, ErrFormat)
	}
	return nil
}

// removeUnfinished removes what interrupted restores have left.
func removeUnfinished(path string, log *slog.Logger) error {
	left, err := filepath.Glob(path + restoreSuffix + "*")
	if err != nil {
		return fmt.Errorf("find unfinished restores beside %s: %w", path, err)
	}
	for _, name := range left {
		log.Warn("removing an unfinished restore of the catalog", "file", name)
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("remove an unfinished restore: %w", err)
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
