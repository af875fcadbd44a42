package catalog

import (
	"maps"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// changes are puts, and deletions (nil), that wait to be written. A bulk import comes in
// any order, and a B+tree takes sorted keys far better, so the records and links of all
// commands of a transaction are collected, sorted and then written.
type changes map[bucketPath]map[string][]byte

func (c changes) put(at bucketPath, key string, value []byte) {
	m := c[at]
	if m == nil {
		m = map[string][]byte{}
		c[at] = m
	}
	m[key] = value
}

// get returns the value that a key will have; nil if none.
func (c changes) get(tx *Tx, at bucketPath, key string) []byte {
	if v, ok := c[at][key]; ok {
		return v
	}
	b := tx.nested(at.bucket, at.nested)
	if b == nil {
		return nil
	}
	return b.Get([]byte(key))
}

// write writes the changes and forgets them. The order of buckets does not affect the
// stored state.
func (c changes) write(tx *bbolt.Tx) error {
	for at, m := range c {
		b, err := tx.Bucket([]byte(at.bucket)).CreateBucketIfNotExists([]byte(at.nested))
		if err != nil {
			return err
		}
		// Ids mostly ascend: fuller pages make the file a third smaller then, and
		// next to no larger when they do not.
		b.FillPercent = 0.7
		for _, key := range slices.SortedFunc(maps.Keys(m), strings.Compare) {
			if v := m[key]; v != nil {
				err = b.Put([]byte(key), v)
			} else {
				err = b.Delete([]byte(key))
			}
			if err != nil {
				return err
			}
		}
	}
	clear(c)
	return nil
}
