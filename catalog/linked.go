package catalog

import (
	"bytes"
	"slices"

	"firescan/keyspace"
)

// A LinkIterator iterates links in ascending order of stem, like *LinkCursor.
type LinkIterator interface {
	Seek(stem []byte) (*Link, bool)
	Next() (*Link, bool)
	// Err returns the error that ended the walk early.
	Err() error
}

// IsLinked reports whether a record names a file of a bucket, or a folder of it, or a PITR
// configuration writes under one of prefixes, or else whether the file only shares the stem
// of a record: as the key is listed, or under the name that all keys share which a server may
// list so (keyspace.Fold). The resolver of records makes a link of that name.
func IsLinked(links LinkIterator, prefixes [][]byte, key []byte) (named, byStem bool, err error) {
	for _, name := range withFold(key) {
		if named, byStem, err = linksKey(links, prefixes, name); named || byStem || err != nil {
			return named, byStem, err
		}
	}
	return false, false, nil
}

// linksKey is IsLinked for a key as it stands.
func linksKey(links LinkIterator, prefixes [][]byte, key []byte) (named, byStem bool, err error) {
	if slices.ContainsFunc(prefixes, func(p []byte) bool { return bytes.HasPrefix(key, p) }) {
		return true, false, nil
	}
	stem := keyspace.Stem(key)
	for l, ok := links.Seek(stem); ok && bytes.Equal(l.Stem, stem); l, ok = links.Next() {
		isNamed, isByStem := l.Links(key)
		if byStem = byStem || isByStem; isNamed {
			return true, false, nil
		}
	}
	for i, b := range key {
		if b != '/' {
			continue
		}
		for _, folder := range [][]byte{key[:i], key[:i+1]} {
			stem := keyspace.Stem(folder)
			for l, ok := links.Seek(stem); ok && bytes.Equal(l.Stem, stem); l, ok = links.Next() {
				if named, _ := l.Links(key); named {
					return true, false, nil
				}
			}
		}
	}
	return false, byStem, links.Err()
}
