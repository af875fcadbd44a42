package catalog

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
)

// checksumsPerTx bounds the links that get a checksum in one transaction, and thereby its
// memory.
const checksumsPerTx = 100_000

// beginChecksums adds checksums to the values of an older format of which there are few.
// Links follow in addLinkChecksums.
func beginChecksums(tx *bbolt.Tx) error {
	meta := tx.Bucket([]byte(inMeta))
	if err := addChecksums(meta, under(metaRelation)); err != nil {
		return err
	}
	if err := addChecksums(tx.Bucket([]byte(inPrefixes)), nil); err != nil {
		return err
	}
	return meta.Put([]byte(metaChecksums), []byte{})
}

// addChecksums adds a checksum to the values whose key begins with prefix.
func addChecksums(b *bbolt.Bucket, prefix []byte) error {
	for _, rest := range keysOf(b, prefix) {
		key := append(bytes.Clone(prefix), rest...)
		if err := b.Put(key, withChecksum(nil, 0, key, b.Get(key))); err != nil {
			return err
		}
	}
	return nil
}

// addLinkChecksums adds checksums to the links of an older format, in transactions of limit
// links. After a crash it continues.
func addLinkChecksums(db *bbolt.DB, limit int) error {
	for more := true; more; {
		if err := db.Update(func(tx *bbolt.Tx) (err error) {
			more, err = addSomeLinkChecksums(tx, limit)
			return err
		}); err != nil {
			return fmt.Errorf("add checksums to the links: %w", err)
		}
	}
	return nil
}

func addSomeLinkChecksums(tx *bbolt.Tx, limit int) (more bool, err error) {
	meta, links := tx.Bucket([]byte(inMeta)), tx.Bucket([]byte(inLinks))
	done := meta.Get([]byte(metaChecksums))
	if done == nil {
		return false, nil
	}
	bucketID, after, _ := bytes.Cut(bytes.Clone(done), []byte{0})
	id, _ := links.Cursor().Seek(bucketID)
	if id == nil {
		return false, meta.Delete([]byte(metaChecksums))
	}
	if !bytes.Equal(id, bucketID) {
		after = nil
	}
	id = bytes.Clone(id)
	b := links.Bucket(id)
	b.FillPercent = 0.9
	keys := make([][]byte, 0, 1024)
	for rest := range scanAfter(b, nil, string(after)) {
		if keys = append(keys, bytes.Clone(rest)); len(keys) == limit {
			break
		}
	}
	seed := linkSeed(string(id))
	for _, key := range keys {
		if err := b.Put(key, withChecksum(nil, seed, key, b.Get(key))); err != nil {
			return false, err
		}
	}
	if len(keys) < limit {
		// The next bucket: the characters of identities are greater.
		return true, meta.Put([]byte(metaChecksums), append(id, 1))
	}
	return true, meta.Put([]byte(metaChecksums), append(append(id, 0), keys[limit-1]...))
}
