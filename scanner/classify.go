package scanner

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"

	"firescan/catalog"
	"firescan/index"
	"firescan/keyspace"
	"firescan/provider"
)

// links walks the links of one bucket in ascending order of stem
// (*catalog.LinkCursor does).
type links interface {
	Seek(stem []byte) (*catalog.Link, bool)
	Next() (*catalog.Link, bool)
	// Err tells whether the walk ended early: then its links are not all there are.
	Err() error
}

// classifier tells what the files of a page are and which of them a backup needs,
// by one merge of the page with the links of the bucket. It is for one goroutine;
// once its buffers have grown it allocates nothing.
type classifier struct {
	destination string

	entries []index.Entry
	missing []index.Missing // copies: they outlive the look-up

	stems [][]byte
	order []int // positions of entries by stem
}

// page fills entries and missing for the objects listed of [from, upTo). An empty
// upTo is no bound. The entries alias the objects.
//
// Every stem of a key in [from, upTo) lies in that interval itself, or is a part of
// from that ends before a byte not above '.': since a key goes on from its stem
// with '.', only such keys are not below from. So these few stems and the links in
// the interval are all that matter.
func (c *classifier) page(cur links, pitr [][]byte, objects []provider.Object, from, upTo []byte) error {
	c.missing = c.missing[:0]
	c.fill(pitr, objects)
	m := merge{classifier: c, from: from, upTo: upTo}
	for i, b := range from {
		if b > '.' {
			continue
		}
		stem := from[:i]
		for l, ok := cur.Seek(stem); ok && bytes.Equal(l.Stem, stem); l, ok = cur.Next() {
			m.link(l)
		}
	}
	for l, ok := cur.Seek(from); ok && (len(upTo) == 0 || bytes.Compare(l.Stem, upTo) < 0); l, ok = cur.Next() {
		m.link(l)
	}
	return cur.Err()
}

// fill makes an entry of every object, without links but for PITR prefixes, and
// orders them by stem.
func (c *classifier) fill(pitr [][]byte, objects []provider.Object) {
	n := len(objects)
	c.entries = slices.Grow(c.entries[:0], n)[:n]
	c.stems = slices.Grow(c.stems[:0], n)[:n]
	c.order = slices.Grow(c.order[:0], n)[:n]
	sorted := true
	for i := range objects {
		o := &objects[i]
		e := &c.entries[i]
		*e = index.Entry{Path: o.Key, Size: o.Size, ModTime: o.ModTime, Digest: xxhash.Sum64(o.Tag)}
		e.Type, e.Linked = index.TypeOf(o.Key, pitr)
		c.stems[i] = keyspace.Stem(o.Key)
		c.order[i] = i
		sorted = sorted && (i == 0 || bytes.Compare(c.stems[i-1], c.stems[i]) <= 0)
	}
	if !sorted {
		slices.SortStableFunc(c.order, func(a, b int) int { return bytes.Compare(c.stems[a], c.stems[b]) })
	}
}

// merge is the walk over entries in order of stem that follows the links.
type merge struct {
	*classifier
	from, upTo []byte

	stem    []byte // of the last link
	at, end int    // the positions in order of the entries of that stem
	linked  bool   // they are linked all
}

// link takes the next link: the entries of its stem that it needs are linked, and
// the record is missing when its path lies in the page's interval and was not seen.
func (m *merge) link(l *catalog.Link) {
	if !bytes.Equal(m.stem, l.Stem) || m.end == 0 {
		m.group(l.Stem)
	}
	group := m.order[m.at:m.end]
	found, seen := slices.BinarySearchFunc(group, l.Path, func(i int, path []byte) int {
		return bytes.Compare(m.entries[i].Path, path)
	})
	if l.Kind == catalog.LinkFile {
		if seen {
			m.entries[group[found]].Linked = true
		}
		return
	}
	if !m.linked {
		for _, i := range group {
			m.entries[i].Linked = true
		}
		m.linked = true
	}
	if !seen && string(l.StorageID) == m.destination && m.within(l.Path) {
		m.missing = append(m.missing, index.Missing{
			Org: bytes.Clone(l.Org), BackupID: bytes.Clone(l.BackupID), Path: bytes.Clone(l.Path),
		})
	}
}

// group moves on to the entries of a stem.
func (m *merge) group(stem []byte) {
	m.stem = append(m.stem[:0], stem...)
	m.at, m.linked = m.end, false
	for m.at < len(m.order) && bytes.Compare(m.stems[m.order[m.at]], stem) < 0 {
		m.at++
	}
	m.end = m.at
	for m.end < len(m.order) && bytes.Equal(m.stems[m.order[m.end]], stem) {
		m.end++
	}
}

func (m *merge) within(path []byte) bool {
	return bytes.Compare(path, m.from) >= 0 && (len(m.upTo) == 0 || bytes.Compare(path, m.upTo) < 0)
}
