// Package bucketserver serves a synthetic S3 bucket whose objects are computed, not
// stored, and writes the matching catalog of backup records. See DESIGN.md.
package bucketserver

import (
	"bytes"
	"fmt"
	"sort"

	"github.com/cespare/xxhash/v2"
)

// Layout is the name of a distribution of keys.
type Layout string

const (
	// Flat puts all backups under one prefix, named by 16 hex digits.
	Flat Layout = "flat"
	// Tree has a directory per project, date and hour, of very uneven sizes.
	Tree Layout = "tree"
	// Skewed has about sixty prefixes, a few of which hold most keys, with ids in hex,
	// base62, decimal and as timestamps, and files of unknown types and PITR logs.
	Skewed Layout = "skewed"
)

// Layouts are all layouts, in the order of the results.
var Layouts = []Layout{Flat, Tree, Skewed}

// Keys is a computed key space: n distinct keys in ascending bytewise order. The same
// layout and n always give the same keys. Keys is safe for concurrent use.
type Keys struct {
	layout Layout
	n      uint64
	space  space
	pitr   []string
}

// space finds the leaf that holds the key of rank i < n.
type space interface {
	leafAt(i uint64, l *leaf)
}

// maxKeys keeps every id space larger than its number of stems, and rank arithmetic
// within 64 bits.
const maxKeys = 4e9

// NewKeys returns the key space of n keys in the given layout.
func NewKeys(layout Layout, n uint64) (*Keys, error) {
	if n > maxKeys {
		return nil, fmt.Errorf("bucket of %d keys: the maximum is %d", n, uint64(maxKeys))
	}
	k := &Keys{layout: layout, n: n}
	switch layout {
	case Flat:
		k.space = newFlat(n)
	case Tree:
		k.space = newTree(n)
	case Skewed:
		k.space, k.pitr = newSkewed(n)
	default:
		return nil, fmt.Errorf("unknown bucket layout %q: use one of %v", layout, Layouts)
	}
	return k, nil
}

// Layout returns the layout of the keys.
func (k *Keys) Layout() Layout { return k.layout }

// Len returns the number of keys.
func (k *Keys) Len() uint64 { return k.n }

// AppendKey appends the key of rank i, which must be less than Len.
func (k *Keys) AppendKey(dst []byte, i uint64) []byte {
	return k.appendKey(dst, i, new(leaf))
}

// appendKey is AppendKey with a leaf as scratch space.
func (k *Keys) appendKey(dst []byte, i uint64, l *leaf) []byte {
	k.space.leafAt(i, l)
	at := l.locate(i - l.first)
	dst = l.appendStem(dst, at.stem)
	return append(dst, l.fileSet.ext(at).text...)
}

// Rank returns the number of keys that are less than key: the rank of key itself if it
// exists, or of the next key.
func (k *Keys) Rank(key []byte) uint64 {
	var (
		l   leaf
		buf [256]byte
	)
	return uint64(sort.Search(int(k.n), func(i int) bool {
		return bytes.Compare(k.appendKey(buf[:0], uint64(i), &l), key) >= 0
	}))
}

// Has reports whether key exists.
func (k *Keys) Has(key []byte) bool {
	i := k.Rank(key)
	return i < k.n && bytes.Equal(k.AppendKey(nil, i), key)
}

// cursor iterates over keys in order without a lookup per key.
type cursor struct {
	keys    *Keys
	rank    uint64 // of the current key; keys.n past the end
	leaf    leaf
	at      place
	key     []byte
	stemLen int
	stem    uint64 // hash of the stem
}

// seek moves the cursor to the key of the given rank.
func (c *cursor) seek(rank uint64) {
	c.rank = rank
	if rank >= c.keys.n {
		return
	}
	c.keys.space.leafAt(rank, &c.leaf)
	c.load(true)
}

// next moves the cursor to the next key.
func (c *cursor) next() {
	c.rank++
	if c.rank >= c.keys.n {
		return
	}
	if c.rank-c.leaf.first >= c.leaf.files {
		c.keys.space.leafAt(c.rank, &c.leaf)
	}
	c.load(false)
}

func (c *cursor) load(fresh bool) {
	c.at = c.leaf.locate(c.rank - c.leaf.first)
	if fresh || c.at.file == 0 {
		c.key = c.leaf.appendStem(c.key[:0], c.at.stem)
		c.stemLen = len(c.key)
		c.stem = xxhash.Sum64(c.key)
	}
	c.key = append(c.key[:c.stemLen], c.leaf.fileSet.ext(c.at).text...)
}

func (c *cursor) valid() bool { return c.rank < c.keys.n }

func (c *cursor) kind() Type { return c.leaf.fileSet.ext(c.at).kind }

// object describes the current object; its key is valid until next. The attributes come
// from one hash of the stem, at a third of the cost of one hash per key.
func (c *cursor) object(o *Object) {
	describe(o, c.key, c.kind(), mix(c.stem+uint64(c.at.file)))
}
