package catalog

import (
	"maps"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// place names a bucket in a bucket.
type place struct{ bucket, nested string }

// changes are puts, and removals (nil), that wait to be written. A bulk import
// comes in any order, and a B+tree takes keys far better in its own: so the
// records and links of all commands of a transaction are gathered, sorted and
// then written.
type changes map[place]map[string][]byte

func (c changes) put(at place, key string, value []byte) {
	m := c[at]
	if m == nil {
		m = map[string][]byte{}
		c[at] = m
	}
	m[key] = value
}

// get reads a key as it will be; nil if it will not be there.
func (c changes) get(tx *Tx, at place, key string) []byte {
	if v, ok := c[at][key]; ok {
		return v
	}
	b := tx.nested(at.bucket, at.nested)
	if b == nil {
		return nil
	}
	return b.Get([]byte(key))
}

// write carries the changes out and forgets them. Which bucket comes first does
// not matter to what is stored.
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
