package catalog

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// A Tx is a read transaction on one state of the catalog. Its methods return copies,
// except for a LinkCursor. A missing record is ErrNotFound, and so is one of another
// organization. Any other error means that the file is damaged.
type Tx struct {
	tx *bbolt.Tx
	// opened caches looked-up buckets, nil for missing ones. bbolt caches buckets only in
	// writable transactions, in which this cache is not used.
	opened map[bucketPath]*bbolt.Bucket
}

func (tx *Tx) bucket(name string) *bbolt.Bucket {
	return tx.open(bucketPath{bucket: name}, func() *bbolt.Bucket { return tx.tx.Bucket([]byte(name)) })
}

// nested returns a bucket in a bucket, nil if it does not exist.
func (tx *Tx) nested(name, bucketID string) *bbolt.Bucket {
	return tx.open(bucketPath{name, bucketID}, func() *bbolt.Bucket { return tx.bucket(name).Bucket([]byte(bucketID)) })
}

func (tx *Tx) open(at bucketPath, look func() *bbolt.Bucket) *bbolt.Bucket {
	if tx.tx.Writable() {
		return look()
	}
	b, known := tx.opened[at]
	if !known {
		if tx.opened == nil {
			tx.opened = map[bucketPath]*bbolt.Bucket{}
		}
		b = look()
		tx.opened[at] = b
	}
	return b
}

// AppliedIndex returns the index of the last entry that this state includes.
func (tx *Tx) AppliedIndex() uint64 {
	index, _ := applied(tx.tx)
	return index
}

// Keyset returns the stored credential keyset, encrypted; nil before the first.
func (tx *Tx) Keyset() []byte {
	return bytes.Clone(tx.bucket(inMeta).Get([]byte(metaKeyset)))
}

// RootTokenMade reports whether the cluster has, or has had, the root token RootTokenID.
func (tx *Tx) RootTokenMade() bool {
	return tx.bucket(inMeta).Get([]byte(metaRootMade)) != nil || tx.bucket(inTokens).Get([]byte(RootTokenID)) != nil
}

// applied returns index and term of the last entry applied.
func applied(tx *bbolt.Tx) (index, term uint64) {
	if v := tx.Bucket([]byte(inMeta)).Get([]byte(metaApplied)); len(v) == 16 {
		return binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	}
	return 0, 0
}
