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

// A classifier finds the types of the files of a page and which of them a backup needs,
// by one merge of the page with the links of the bucket. It is for one goroutine. Once
// its buffers have grown, it allocates nothing.
type classifier struct {
	destination string

	entries []index.Entry
	// missing are objects that records name and the page does not have: copies, which outlive
	// the catalog transaction.
	missing []index.Missing

	stems   [][]byte
	order   []int  // positions of entries by stem
	deepest int    // the position of the last slash in any entry
	below   []byte // a buffer of merge.linkBelow
}

// page fills entries and missing for the objects of [from, upTo), of which an empty upTo
// is unbounded. The entries alias the objects.
//
// Every stem of a key in [from, upTo), or of a name that is a folder of such a key, lies in
// that interval itself, or is a prefix of from that ends before a byte not above '/': since a
// key continues its stem with '.' and its folder with '/', only such keys are not below from.
// So these few stems, the folders of from, and the links in the interval are enough.
func (c *classifier) page(cur catalog.LinkIterator, pitr [][]byte, objects []provider.Object, from, upTo []byte) error {
	c.missing = c.missing[:0]
	c.fill(pitr, objects)
	m := merge{page: c, from: from, upTo: upTo}
	for i, b := range from {
		if b > '/' {
			continue
		}
		stem := from[:i]
		for l, ok := cur.Seek(stem); ok && bytes.Equal(l.Stem, stem); l, ok = cur.Next() {
			m.apply(l)
		}
	}
	for i, b := range from {
		if b != '/' || i+1 == len(from) {
			continue
		}
		folder := from[:i+1]
		for l, ok := cur.Seek(folder); ok && bytes.Equal(l.Stem, folder); l, ok = cur.Next() {
			if l.Kind == catalog.LinkPrefix {
				m.linkFolder(l.Path) // it lies before from: another page lists it as missing
			}
		}
	}
	for l, ok := cur.Seek(from); ok && (len(upTo) == 0 || bytes.Compare(l.Stem, upTo) < 0); l, ok = cur.Next() {
		m.apply(l)
	}
	if err := cur.Err(); err != nil {
		return err
	}
	return c.linkFolded(cur, pitr)
}

// linkFolded links the other entries that a record names in another form of their key (see
// keyspace.Fold). Few keys have one.
func (c *classifier) linkFolded(cur catalog.LinkIterator, pitr [][]byte) error {
	for i := range c.entries {
		e := &c.entries[i]
		if e.Linked {
			continue
		}
		if _, other := keyspace.Folded(e.Path); other {
			named, byStem, err := catalog.IsLinked(cur, pitr, e.Path)
			if err != nil {
				return err
			}
			e.Linked, e.ByStem = named || byStem, byStem && !named
		}
	}
	return nil
}

// fill makes an entry of every object, linked only by PITR prefixes, and orders them by
// stem.
func (c *classifier) fill(pitr [][]byte, objects []provider.Object) {
	n := len(objects)
	c.entries = slices.Grow(c.entries[:0], n)[:n]
	c.stems = slices.Grow(c.stems[:0], n)[:n]
	c.order = slices.Grow(c.order[:0], n)[:n]
	sorted := true
	c.deepest = -1
	for i := range objects {
		o := &objects[i]
		e := &c.entries[i]
		*e = index.Entry{Path: o.Key, Size: o.Size, ModTime: o.ModTime, Digest: xxhash.Sum64(o.Tag)}
		e.Type, e.Linked = index.TypeOf(o.Key, pitr)
		c.stems[i] = keyspace.Stem(o.Key)
		for from := c.deepest + 1; from < len(o.Key); from = c.deepest + 1 {
			slash := bytes.IndexByte(o.Key[from:], '/')
			if slash < 0 {
				break
			}
			c.deepest = from + slash
		}
		c.order[i] = i
		sorted = sorted && (i == 0 || bytes.Compare(c.stems[i-1], c.stems[i]) <= 0)
	}
	if !sorted {
		slices.SortStableFunc(c.order, func(a, b int) int { return bytes.Compare(c.stems[a], c.stems[b]) })
	}
}

// A merge walks over the entries in order of stem along with the links.
type merge struct {
	page       *classifier
	from, upTo []byte

	stem    []byte          // of the last link
	at, end int             // the positions in page.order of the entries of that stem
	linked  bool            // all of them are linked by it
	known   map[string]bool // the stems by known suffixes that linked some of them
	folder  []byte          // the last one that a record names
	filled  bool            // something is below it
}

// apply applies the next link: it marks the entries of the stem that the record needs as
// linked, and its path as missing when it lies in the interval and was not listed.
func (m *merge) apply(l *catalog.Link) {
	if l.Kind == catalog.LinkPrefix {
		if !m.linkFolder(l.Path) {
			m.addMissing(l)
		}
		return
	}
	if !bytes.Equal(m.stem, l.Stem) || m.end == 0 {
		m.advance(l.Stem)
	}
	group := m.page.order[m.at:m.end]
	found, seen := slices.BinarySearchFunc(group, l.Path, m.comparePath)
	if seen {
		m.link(group[found])
	}
	seen = m.linkBelow(l.Path) || seen
	if l.Kind == catalog.LinkFile {
		if !seen {
			m.addMissing(l)
		}
		return
	}
	if !m.linked {
		m.linkStem(l, group)
	}
	if l.Kind == catalog.LinkPath && !seen {
		m.addMissing(l)
	}
}

// addMissing lists the path of a link as missing if it is in the interval and the record is of
// the destination.
func (m *merge) addMissing(l *catalog.Link) {
	if string(l.StorageID) == m.page.destination && m.contains(l.Path) {
		m.page.missing = append(m.page.missing, index.Missing{
			Org: bytes.Clone(l.Org), BackupID: bytes.Clone(l.BackupID), Path: bytes.Clone(l.Path),
		})
	}
}

// linkFolder links the entries below a folder that a record names. It reports whether there
// are any.
func (m *merge) linkFolder(folder []byte) bool {
	if bytes.Equal(folder, m.folder) {
		return m.filled
	}
	m.folder, m.filled = append(m.folder[:0], folder...), false
	entries := m.page.entries
	i, _ := slices.BinarySearchFunc(entries, folder, func(e index.Entry, path []byte) int { return bytes.Compare(e.Path, path) })
	for ; i < len(entries) && bytes.HasPrefix(entries[i].Path, folder); i++ {
		m.link(i)
		m.filled = m.filled || len(entries[i].Path) > len(folder) // an object may stand for the folder
	}
	return m.filled
}

// linkBelow links the entries below a name that a record has for an object, which may be a
// folder. It reports whether there are any.
func (m *merge) linkBelow(name []byte) bool {
	if len(name) > m.page.deepest {
		return false
	}
	m.page.below = append(append(m.page.below[:0], name...), '/')
	return m.linkFolder(m.page.below)
}

// linkStem links the entries of a group, which share the stem of a link, by its rule.
func (m *merge) linkStem(l *catalog.Link, group []int) {
	if l.Rule != keyspace.KnownSuffix {
		for _, i := range group {
			m.linkByStem(i)
		}
		m.linked = true
		return
	}
	stem := l.Rule.Stem(l.Path)
	if m.known[string(stem)] {
		return
	}
	at, _ := slices.BinarySearchFunc(group, stem, m.comparePath)
	for _, i := range group[at:] {
		path := m.page.entries[i].Path
		if !bytes.HasPrefix(path, stem) {
			break
		}
		if m.known == nil {
			m.known = map[string]bool{}
		}
		m.known[string(stem)] = true
		if bytes.Equal(l.Rule.Stem(path), stem) {
			m.linkByStem(i)
		}
	}
}

func (m *merge) comparePath(i int, path []byte) int {
	return bytes.Compare(m.page.entries[i].Path, path)
}

// link links an entry that a record names.
func (m *merge) link(i int) {
	e := &m.page.entries[i]
	e.Linked, e.ByStem = true, false
}

// linkByStem links an entry that shares the stem of a record.
func (m *merge) linkByStem(i int) {
	if e := &m.page.entries[i]; !e.Linked {
		e.Linked, e.ByStem = true, true
	}
}

// advance moves to the entries of a stem.
func (m *merge) advance(stem []byte) {
	m.stem = append(m.stem[:0], stem...)
	m.at, m.linked = m.end, false
	clear(m.known)
	for m.at < len(m.page.order) && bytes.Compare(m.page.stems[m.page.order[m.at]], stem) < 0 {
		m.at++
	}
	m.end = m.at
	for m.end < len(m.page.order) && bytes.Equal(m.page.stems[m.page.order[m.end]], stem) {
		m.end++
	}
}

func (m *merge) contains(path []byte) bool {
	return bytes.Compare(path, m.from) >= 0 && (len(m.upTo) == 0 || bytes.Compare(path, m.upTo) < 0)
}
