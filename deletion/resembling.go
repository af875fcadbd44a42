package deletion

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
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

	missing, strays uint64
}

// lostFiles returns what the missing backups and the strays of a destination are called.
func (d *Deleter) lostFiles(ctx context.Context, l *listings) (*lostFiles, error) {
	view := l.own.view
	lost := &lostFiles{sized: countMissing(view)+l.strays <= maxSized}
	for next := []byte(nil); ; {
		list, more, err := view.Missing(l.own.destination.Org, next, missingPage)
		if err != nil {
			return nil, err
		}
		if err := d.config.Catalog.View(func(tx *catalog.Tx) error { return lost.add(tx, l, list) }); err != nil {
			return nil, err
		}
		if next = more; next == nil {
			break
		}
	}
	if err := d.strays(l, l.own, func(list []claim) error {
		lost.addStrays(list)
		return context.Cause(ctx)
	}); err != nil {
		return nil, err
	}
	slices.Sort(lost.names)
	slices.Sort(lost.stems)
	return lost, nil
}

func (l *lostFiles) add(tx *catalog.Tx, from *listings, list []index.Missing) error {
	for _, m := range list {
		var size int64
		if l.sized {
			b, err := tx.Backup(string(m.Org), string(m.BackupID))
			if errors.Is(err, catalog.ErrNotFound) {
				continue // it was deleted since
			}
			if err != nil {
				return err
			}
			if _, state, err := from.missing(tx, from.own, b, m.Path); err != nil {
				return err
			} else if state == claimSeen {
				continue
			}
			size = b.Size
		}
		l.missing++
		name := lastSegment(m.Path)
		l.names = append(l.names, xxhash.Sum64(name))
		l.stems = append(l.stems, l.stem(name, size))
	}
	return nil
}

func (l *lostFiles) addStrays(list []claim) {
	for _, s := range list {
		if s.state == claimStray {
			l.strays++
		} else {
			l.missing++ // where another destination looks for it
		}
		var size int64
		if l.sized {
			size = s.size
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
