package scanner

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
)

// keepMissing reduces the missing objects of the page to those that the records name in the
// first place, in this bucket. The others are further readings of a location, or objects of
// backups that were written before the destination was moved here. An object of which the
// page has another reading is not missing.
func (c *classifier) keepMissing(tx *catalog.Tx, d *pb.Destination) error {
	kept := c.missing[:0]
	for _, m := range c.missing {
		o, err := tx.ObjectAt(d, string(m.BackupID), m.Path)
		if err != nil {
			return err
		}
		if o != nil && !slices.ContainsFunc(o.Readings[1:], c.has) {
			kept = append(kept, m)
		}
	}
	c.missing = kept
	return nil
}

// has reports whether the page has what a reading means.
func (c *classifier) has(r catalog.Reading) bool {
	i, found := slices.BinarySearchFunc(c.entries, r.Key, func(e index.Entry, key []byte) int { return bytes.Compare(e.Path, key) })
	if !r.Prefix {
		return found
	}
	if found {
		i++ // an object that stands for the folder
	}
	return i < len(c.entries) && bytes.HasPrefix(c.entries[i].Path, r.Key)
}

const (
	// maxCounted bounds the backups of one segment that are counted once each, however many
	// of their objects are missing.
	maxCounted = 100_000
	// maxNamed bounds those that are named in the record of the segment, so that they are
	// counted once in all segments.
	maxNamed = 256
)

// missingBackups counts the backups of a segment that miss objects.
type missingBackups struct {
	ids   map[uint64]struct{}
	count uint64
}

func (b *missingBackups) add(m index.Missing) {
	if len(b.ids) < maxCounted {
		id := xxhash.Sum64(slices.Concat(m.Org, []byte{0}, m.BackupID))
		if _, known := b.ids[id]; known {
			return
		}
		if b.ids == nil {
			b.ids = map[uint64]struct{}{}
		}
		b.ids[id] = struct{}{}
	}
	b.count++
}

// named returns the ids of the backups, in order, nil when they are too many.
func (b *missingBackups) named() []uint64 {
	if len(b.ids) > maxNamed {
		return nil
	}
	list := make([]uint64, 0, len(b.ids))
	for id := range b.ids {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}
