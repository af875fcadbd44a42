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

func (c changes) put(at bucketPath, key string, value []byte) { c.of(at)[key] = value }

// of returns the changes of a bucket.
func (c changes) of(at bucketPath) map[string][]byte {
	m := c[at]
	if m == nil {
		m = map[string][]byte{}
		c[at] = m
	}
	return m
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
	var key []byte // bbolt copies it
	for at, m := range c {
		b, err := tx.Bucket([]byte(at.bucket)).CreateBucketIfNotExists([]byte(at.nested))
		if err != nil {
			return err
		}
		// Ids mostly ascend: fuller pages make the file a third smaller then, and
		// next to no larger when they do not.
		b.FillPercent = 0.7
		for _, k := range slices.SortedFunc(maps.Keys(m), strings.Compare) {
			key = append(key[:0], k...)
			if v := m[k]; v != nil {
				err = b.Put(key, v)
			} else {
				err = b.Delete(key)
			}
			if err != nil {
				return err
			}
		}
	}
	clear(c)
	return nil
}
