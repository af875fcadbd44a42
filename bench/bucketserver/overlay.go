package bucketserver

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the ETag of an S3 object is its MD5
	"slices"
	"strings"
	"sync"
	"time"

	"firescan/keyspace"
)

// overlay holds the changes of clients: put objects and deleted computed keys. It is
// small, so sorted slices are enough.
type overlay struct {
	mu      sync.RWMutex
	puts    []stored // ascending by key
	deleted []uint64 // ranks, ascending
}

// stored is a put object.
type stored struct {
	key     string
	body    []byte
	modTime int64
	tag     [16]byte
}

func (s *stored) describe(o *Object) {
	*o = Object{Key: []byte(s.key), Size: int64(len(s.body)), ModTime: s.modTime, ETag: s.tag, Type: Unknown}
}

func (v *overlay) find(key string) (int, bool) {
	return slices.BinarySearchFunc(v.puts, key, func(s stored, k string) int { return strings.Compare(s.key, k) })
}

// put creates or replaces an object and returns its ETag.
func (v *overlay) put(keys *Keys, key string, body []byte) [16]byte {
	s := stored{key: key, body: body, modTime: time.Now().Unix(), tag: md5.Sum(body)} //nolint:gosec // as above
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hideComputed(keys, key)
	i, ok := v.find(key)
	if ok {
		v.puts[i] = s
	} else {
		v.puts = slices.Insert(v.puts, i, s)
	}
	return s.tag
}

// remove deletes the object with the key if cond holds for it. It returns false if cond
// does not hold.
func (v *overlay) remove(keys *Keys, key string, cond func(*Object) bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	var o Object
	if _, ok := v.get(keys, key, &o); ok && !cond(&o) {
		return false
	}
	if i, ok := v.find(key); ok {
		v.puts = slices.Delete(v.puts, i, i+1)
	}
	v.hideComputed(keys, key)
	return true
}

// hideComputed hides the computed object with the key, if there is one.
func (v *overlay) hideComputed(keys *Keys, key string) {
	rank := keys.Rank([]byte(key))
	if rank >= keys.n || string(keys.AppendKey(nil, rank)) != key {
		return
	}
	if i, ok := slices.BinarySearch(v.deleted, rank); !ok {
		v.deleted = slices.Insert(v.deleted, i, rank)
	}
}

// get sets o to the object with the key. body is nil for a computed object. The caller
// holds mu.
func (v *overlay) get(keys *Keys, key string, o *Object) (body []byte, ok bool) {
	if i, ok := v.find(key); ok {
		v.puts[i].describe(o)
		return v.puts[i].body, true
	}
	rank := keys.Rank([]byte(key))
	if rank >= keys.n {
		return nil, false
	}
	if _, gone := slices.BinarySearch(v.deleted, rank); gone {
		return nil, false
	}
	c := cursor{keys: keys}
	c.seek(rank)
	if string(c.key) != key {
		return nil, false
	}
	c.object(o)
	return nil, true
}

// walker iterates over the computed keys and the overlay as one list. The caller holds
// the overlay's read lock from seek until the last next.
type walker struct {
	cur     cursor
	over    *overlay
	puts    []stored // remaining
	deleted []uint64 // remaining
	put     bool     // the current object is puts[0]
}

// seek moves the walker to the first object with a key >= start.
func (w *walker) seek(start []byte) {
	rank := uint64(0)
	if len(start) > 0 {
		rank = w.cur.keys.Rank(start)
	}
	w.cur.seek(rank)
	p, _ := w.over.find(string(start))
	w.puts = w.over.puts[p:]
	d, _ := slices.BinarySearch(w.over.deleted, rank)
	w.deleted = w.over.deleted[d:]
	w.skipDeleted()
}

func (w *walker) skipDeleted() {
	for len(w.deleted) > 0 && w.cur.valid() && w.deleted[0] == w.cur.rank {
		w.deleted = w.deleted[1:]
		w.cur.next()
	}
	w.put = len(w.puts) > 0 && (!w.cur.valid() || w.puts[0].key < string(w.cur.key))
}

func (w *walker) valid() bool { return w.put || w.cur.valid() }

// key returns the current key, valid until next.
func (w *walker) key() []byte {
	if w.put {
		return []byte(w.puts[0].key)
	}
	return w.cur.key
}

// object describes the current object; its key is valid until next.
func (w *walker) object(o *Object) {
	if w.put {
		w.puts[0].describe(o)
		return
	}
	w.cur.object(o)
}

func (w *walker) next() {
	if w.put {
		w.puts = w.puts[1:]
	} else {
		w.cur.next()
	}
	w.skipDeleted()
}

// seekPast moves the walker past all keys with the prefix.
func (w *walker) seekPast(prefix []byte) {
	if end := keyspace.PrefixEnd(prefix); len(end) > 0 {
		w.seek(end)
		return
	}
	w.cur.seek(w.cur.keys.n)
	w.puts, w.put = nil, false
}

func (w *walker) hasPrefix(prefix []byte) bool { return bytes.HasPrefix(w.key(), prefix) }
