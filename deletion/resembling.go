package deletion

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/keyspace"
)

const (
	// maxSized bounds the missing backups whose sizes and other readings are looked up. With
	// more, an equal stem is enough to resemble one, and all of them count as missing.
	maxSized = 10_000
	// missingPage is the number of missing backups that are read at once.
	missingPage = 10_000
	// maxExamples bounds examples.
	maxExamples = 5
)

// Resembling are orphans that may be the files of missing backups, at another place.
type Resembling struct {
	Files    uint64
	Examples []string
}

func (r *Resembling) add(path []byte) {
	r.Files++
	if len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, string(path))
	}
}

// lostFiles are hashes of what the missing backups of a view and the strays of its destination
// are called. Two names with one hash protect a file too many.
type lostFiles struct {
	names []uint64 // of last path segments
	stems []uint64 // of the stems of these, with a size if sized
	sized bool

	missing, strays          uint64
	missingNames, strayNames []string // examples
}

// lostFiles returns what the missing backups and the strays of a destination are called.
func (d *Deleter) lostFiles(ctx context.Context, view *index.View, dest *pb.Destination, missing uint64) (*lostFiles, error) {
	lost, org, count := &lostFiles{}, dest.Org, missing
	if err := d.config.Catalog.View(func(tx *catalog.Tx) error {
		count += tx.CountStrays(org, dest.Id)
		return nil
	}); err != nil {
		return nil, err
	}
	lost.sized = count <= maxSized
	for next := []byte(nil); ; {
		list, more, err := view.Missing(org, next, missingPage)
		if err != nil {
			return nil, err
		}
		if err := d.config.Catalog.View(func(tx *catalog.Tx) error { return lost.add(tx, view, dest, list) }); err != nil {
			return nil, err
		}
		if next = more; next == nil {
			break
		}
	}
	if err := d.strays(view, dest, func(list []stray) error {
		lost.addStrays(list)
		return context.Cause(ctx)
	}); err != nil {
		return nil, err
	}
	slices.Sort(lost.names)
	slices.Sort(lost.stems)
	return lost, nil
}

func (l *lostFiles) add(tx *catalog.Tx, view *index.View, dest *pb.Destination, list []index.Missing) error {
	for _, m := range list {
		var size int64
		if l.sized {
			b, err := tx.Backup(dest.Org, string(m.BackupID))
			if err != nil && !errors.Is(err, catalog.ErrNotFound) {
				return err
			}
			if seen, err := seenOtherwise(tx, view, dest, b, m.Path); err != nil {
				return err
			} else if seen {
				continue
			}
			size = b.GetSize()
		}
		if l.missing++; len(l.missingNames) < maxExamples {
			l.missingNames = append(l.missingNames, string(m.BackupID)+": "+string(m.Path))
		}
		name := lastSegment(m.Path)
		l.names = append(l.names, xxhash.Sum64(name))
		l.stems = append(l.stems, l.stem(name, size))
	}
	return nil
}

// seenOtherwise reports whether a view has the object of a record that it lists as missing under
// another reading of its location, such as a folder.
func seenOtherwise(tx *catalog.Tx, view *index.View, dest *pb.Destination, b *pb.Backup, missing []byte) (bool, error) {
	own := catalog.BucketID(dest)
	for _, o := range tx.Objects(dest, b) {
		if !bytes.Equal(o.Readings[0].Key, missing) {
			continue
		}
		for _, r := range o.Readings[1:] {
			if r.BucketID != own {
				continue
			}
			if seen, err := view.Sees(r.Key, r.Prefix); seen || err != nil {
				return seen, err
			}
		}
	}
	return false, nil
}

func (l *lostFiles) addStrays(list []stray) {
	for _, s := range list {
		if l.strays++; len(l.strayNames) < maxExamples {
			l.strayNames = append(l.strayNames, s.record.Id+": "+string(s.location))
		}
		var size int64
		if l.sized {
			size = s.record.Size
		}
		var last []byte
		for i, key := range s.keys {
			name := lastSegment(key)
			if i > 0 && bytes.Equal(name, last) {
				continue
			}
			last = name
			l.names = append(l.names, xxhash.Sum64(name))
			l.stems = append(l.stems, l.stem(name, size))
		}
	}
}

// resembles reports whether a file may be one of a missing backup or a stray: its last path
// segment is equal, or the stem of that and the size.
func (l *lostFiles) resembles(e *index.Entry) bool {
	if len(l.names) == 0 {
		return false
	}
	name := lastSegment(e.Path)
	_, named := slices.BinarySearch(l.names, xxhash.Sum64(name))
	if named {
		return true
	}
	_, found := slices.BinarySearch(l.stems, l.stem(name, e.Size))
	return found
}

func (l *lostFiles) stem(name []byte, size int64) uint64 {
	stem := xxhash.Sum64(keyspace.Stem(name))
	if !l.sized {
		return stem
	}
	return stem ^ uint64(size)*0x9e3779b97f4a7c15
}

func lastSegment(key []byte) []byte { return key[bytes.LastIndexByte(key, '/')+1:] }

// countMissing returns the number of backups without a file in a view.
func countMissing(view *index.View) (n uint64) {
	for _, s := range view.Segments() {
		n += uint64(s.Missing)
	}
	return n
}
