package index

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"firescan/keyspace"
)

// encode returns the pair that lists m. The key sorts by path; the value begins with the
// length of the path, since a path may contain any byte.
func (m *Missing) encode() (key, val []byte) {
	key = make([]byte, 0, len(m.Path)+1+len(m.BackupID))
	key = append(key, m.Path...)
	key = append(key, 0)
	key = append(key, m.BackupID...)
	val = binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen16+len(m.Org)), uint64(len(m.Path)))
	return key, append(val, m.Org...)
}

// decodeMissing returns a record that points into key and val.
func decodeMissing(key, val []byte) (Missing, error) {
	n, size := binary.Uvarint(val)
	if size <= 0 || n >= uint64(len(key)) {
		return Missing{}, corruptf("missing record at %q", key)
	}
	return Missing{Org: val[size:], BackupID: key[n+1:], Path: key[:n]}, nil
}

// encodeCursor returns the cursor after m: the length of the path and then the key of the
// pair.
func encodeCursor(m *Missing) []byte {
	key, _ := m.encode()
	return append(binary.AppendUvarint(nil, uint64(len(m.Path))), key...)
}

func decodeCursor(after []byte) (path, key []byte, err error) {
	n, size := binary.Uvarint(after)
	if size <= 0 || n >= uint64(len(after)-size) {
		return nil, nil, fmt.Errorf("%w: cursor %q of missing records", ErrInvalid, after)
	}
	return after[size:][:n], after[size:], nil
}

// Missing returns objects that were not seen, by path and id of the record, at most limit of them (0 =
// all). A given org selects the records of one organization. after is the cursor that the
// previous call returned, nil for the first; next is nil at the end of the list. The
// records are copies.
func (v *View) Missing(org string, after []byte, limit int) (list []Missing, next []byte, err error) {
	if v.gone.Load() {
		return nil, nil, ErrClosed
	}
	var path, from []byte
	if len(after) > 0 {
		if path, from, err = decodeCursor(after); err != nil {
			return nil, nil, err
		}
	}
	for i, s := range v.snap.segs {
		if s.Missing == 0 || from != nil && !keyspace.BeforeEnd(path, v.snap.reach(i)) {
			continue
		}
		if bytes.Compare(path, s.Start) < 0 {
			from = nil // all of this segment comes after the cursor
		}
		err := s.pool.view(func(tx *bolt.Tx) error {
			c := tx.Bucket(bucketMissing).Cursor()
			key, val := c.Seek(from)
			if key != nil && bytes.Equal(key, from) {
				key, val = c.Next()
			}
			for ; key != nil; key, val = c.Next() {
				m, err := decodeMissing(key, val)
				if err != nil {
					return err
				}
				if org != "" && string(m.Org) != org {
					continue
				}
				if limit > 0 && len(list) == limit {
					next = encodeCursor(&list[limit-1])
					return nil
				}
				list = append(list, Missing{bytes.Clone(m.Org), bytes.Clone(m.BackupID), bytes.Clone(m.Path)})
			}
			return nil
		})
		if err != nil {
			return nil, nil, v.shard.damaged(s, err)
		}
		if next != nil {
			break
		}
	}
	return list, next, nil
}

// ListsMissing reports whether an object of a backup is listed as missing.
func (v *View) ListsMissing(path, backupID []byte) (listed bool, err error) {
	if v.gone.Load() {
		return false, ErrClosed
	}
	i := v.snap.find(path)
	if i == len(v.snap.segs) || v.snap.segs[i].Missing == 0 {
		return false, nil
	}
	s := v.snap.segs[i]
	key, _ := (&Missing{Path: path, BackupID: backupID}).encode()
	err = s.pool.view(func(tx *bolt.Tx) error {
		listed = tx.Bucket(bucketMissing).Get(key) != nil
		return nil
	})
	if err != nil {
		return false, v.shard.damaged(s, err)
	}
	return listed, nil
}

// Sees reports whether the view has an object, or some below a folder of that name, or with
// prefix one whose key is longer than key and begins with it.
func (v *View) Sees(key []byte, prefix bool) (seen bool, err error) {
	q := Query{Prefix: key, Limit: 1}
	if prefix {
		q.Limit = 2
	}
	_, _, err = v.Query(q, func(e *Entry) bool {
		seen = seen || (len(e.Path) > len(key)) == prefix
		return !seen
	})
	if seen || err != nil || prefix {
		return seen, err
	}
	return v.Sees(append(bytes.Clone(key), '/'), true)
}
