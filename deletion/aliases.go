package deletion

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
	"firescan/keyspace"
)

// aliases are the links of a bucket under its other verified identities. Scans classify by one
// identity, and the catalog refuses to mark what is linked under any of them; so a plan looks
// them up. A nil *aliases has none.
type aliases struct {
	deleter *Deleter
	org     string
	links   map[string]*linkHashes // by identity
	err     error                  // the first failure; after it everything is kept
}

// aliases returns the links of a bucket under other identities.
func (d *Deleter) aliases(ids []string, org string) (*aliases, error) {
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // as most buckets have
	}
	a := &aliases{deleter: d, org: org, links: map[string]*linkHashes{}}
	return a, d.config.Catalog.View(func(tx *catalog.Tx) error {
		for _, id := range ids {
			prefixes, err := tx.PitrPrefixes(id, org)
			if err != nil {
				return err
			}
			h := newLinkHashes()
			h.prefixes = prefixes
			if err := h.add(tx.LinksFor(id, org), func(*catalog.Link) bool { return true }); err != nil {
				return err
			}
			a.links[id] = h
		}
		return nil
	})
}

// keeps returns whose records need a file by its other identities.
func (a *aliases) keeps(path []byte) (by keeper) {
	if a == nil {
		return keptByNobody
	}
	for id, h := range a.links {
		if a.err == nil && h.mayLink(path) {
			a.err = a.deleter.config.Catalog.View(func(tx *catalog.Tx) error {
				found, err := a.keptUnder(tx, id, path)
				by = max(by, found)
				return err
			})
		}
	}
	if a.err != nil {
		return keptByOwn
	}
	return by
}

func (a *aliases) keptUnder(tx *catalog.Tx, id string, path []byte) (keeper, error) {
	own, err := tx.OwnPitrPrefixes(id, a.org)
	if err != nil {
		return keptByOwn, err
	}
	if named, byStem, err := catalog.IsLinked(tx.OwnLinks(id, a.org), own, path); named || byStem || err != nil {
		return keptByOwn, err
	}
	named, byStem, err := catalog.IsLinked(tx.LinksFor(id, a.org), a.links[id].prefixes, path)
	if named || byStem {
		return keptByOthers, err
	}
	return keptByNobody, err
}

// failure returns why not all files could be looked up.
func (a *aliases) failure() error {
	if a == nil {
		return nil
	}
	return a.err
}

// linkHashes is what links name in a bucket, as hashes: what it does not have is not linked.
type linkHashes struct {
	stems, files map[uint64]struct{}
	prefixes     [][]byte
}

func newLinkHashes() *linkHashes {
	return &linkHashes{stems: map[uint64]struct{}{}, files: map[uint64]struct{}{}}
}

// add adds the links for which include returns true.
func (h *linkHashes) add(links *catalog.LinkCursor, include func(*catalog.Link) bool) error {
	for l, ok := links.Seek(nil); ok; l, ok = links.Next() {
		switch {
		case !include(l):
		case l.Kind == catalog.LinkPrefix:
			h.prefixes = append(h.prefixes, bytes.Clone(l.Path))
		case l.Kind.LinksStem():
			h.stems[xxhash.Sum64(l.Stem)] = struct{}{}
			fallthrough // the path may be that of a folder
		default:
			h.files[xxhash.Sum64(l.Path)] = struct{}{}
		}
	}
	return links.Err()
}

func (h *linkHashes) empty() bool { return len(h.stems)+len(h.files)+len(h.prefixes) == 0 }

// mayLink reports whether a file may be linked, under its own name or its fold.
func (h *linkHashes) mayLink(path []byte) bool {
	if h.mayLinkName(path) {
		return true
	}
	fold, other := keyspace.Folded(path)
	return other && h.mayLinkName(fold)
}

func (h *linkHashes) mayLinkName(path []byte) bool {
	if _, ok := h.stems[xxhash.Sum64(keyspace.Stem(path))]; ok {
		return true
	}
	if _, ok := h.files[xxhash.Sum64(path)]; ok {
		return true
	}
	for i, b := range path {
		if b != '/' {
			continue
		}
		if _, ok := h.files[xxhash.Sum64(path[:i])]; ok {
			return true
		}
	}
	return slices.ContainsFunc(h.prefixes, func(p []byte) bool { return bytes.HasPrefix(path, p) })
}
