package bucketserver

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"

	"firescan/keyspace"
)

// list is a parsed ListObjects or ListObjectsV2 request.
type list struct {
	v2        bool
	prefix    []byte
	delimiter []byte
	start     []byte // lower bound of the returned keys
	after     string // start-after or marker of the request
	token     string
	maxKeys   int
	urlKeys   bool
}

func parseList(q url.Values, pageSize int) (*list, error) {
	l := &list{
		v2: q.Get("list-type") == "2", prefix: []byte(q.Get("prefix")), delimiter: []byte(q.Get("delimiter")),
		token: q.Get("continuation-token"), maxKeys: pageSize,
	}
	switch enc := q.Get("encoding-type"); enc {
	case "":
	case "url":
		l.urlKeys = true
	default:
		return nil, fmt.Errorf("encoding-type %q: want url", enc)
	}
	if v := q.Get("max-keys"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("max-keys %q: want a number >= 0", v)
		}
		l.maxKeys = min(n, pageSize)
	}
	if l.v2 {
		l.after = q.Get("start-after")
	} else {
		l.after = q.Get("marker")
	}
	switch {
	case l.token != "":
		start, err := base64.RawURLEncoding.DecodeString(l.token)
		if err != nil {
			return nil, fmt.Errorf("continuation-token: not issued by this server")
		}
		l.start = start
	case l.after != "":
		l.start = append([]byte(l.after), 0)
		if !l.v2 {
			l.start = l.afterMarker(l.start)
		}
	}
	if bytes.Compare(l.start, l.prefix) < 0 {
		l.start = l.prefix
	}
	return l, nil
}

// afterMarker returns the start of a V1 list. If the marker is a common prefix, the list
// starts after all keys with that prefix.
func (l *list) afterMarker(start []byte) []byte {
	after := []byte(l.after)
	if len(l.delimiter) == 0 || !bytes.HasPrefix(after, l.prefix) || !bytes.HasSuffix(after, l.delimiter) ||
		len(after) < len(l.prefix)+len(l.delimiter) {
		return start
	}
	return keyspace.PrefixEnd(after)
}

// page is a response under construction. Pages are reused: rendering does not allocate
// once the buffers have grown.
type page struct {
	body     []byte // rendered contents
	prefixes []byte // rendered common prefixes
	head     []byte
	offsets  []int // where each object begins in body
	keys     int   // objects and common prefixes
	more     bool
	next     []byte // where the following page starts
	last     []byte // last key or common prefix
	obj      Object
}

// fill renders the contents of the page. The caller holds the overlay's lock.
func (p *page) fill(l *list, w *walker) {
	p.body, p.prefixes, p.offsets = p.body[:0], p.prefixes[:0], p.offsets[:0]
	p.keys, p.more = 0, false
	w.seek(l.start)
	for p.keys < l.maxKeys && w.valid() && w.hasPrefix(l.prefix) {
		if common := l.commonPrefix(w.key()); common != nil {
			p.last = append(p.last[:0], common...)
			p.prefixes = appendPrefix(p.prefixes, p.last, l.urlKeys)
			w.seekPast(p.last)
			p.next = append(p.next[:0], keyspace.PrefixEnd(p.last)...)
			p.keys++
			continue
		}
		w.object(&p.obj)
		p.offsets = append(p.offsets, len(p.body))
		p.body = appendObject(p.body, &p.obj, l.urlKeys, w.put)
		p.keys++
		if p.keys == l.maxKeys {
			p.last = append(p.last[:0], p.obj.Key...)
			p.next = append(append(p.next[:0], p.obj.Key...), 0)
		}
		w.next()
	}
	p.more = p.keys > 0 && p.keys == l.maxKeys && w.valid() && w.hasPrefix(l.prefix)
}

// commonPrefix returns the common prefix of key, or nil if it has none.
func (l *list) commonPrefix(key []byte) []byte {
	if len(l.delimiter) == 0 {
		return nil
	}
	i := bytes.Index(key[len(l.prefix):], l.delimiter)
	if i < 0 {
		return nil
	}
	return key[:len(l.prefix)+i+len(l.delimiter)]
}

// swapEnds swaps the first and the last object, so that the page is unsorted.
func (p *page) swapEnds() {
	if len(p.offsets) < 2 {
		return
	}
	second, last := p.offsets[1], p.offsets[len(p.offsets)-1]
	swapped := make([]byte, 0, len(p.body))
	swapped = append(swapped, p.body[last:]...)
	swapped = append(swapped, p.body[second:last]...)
	swapped = append(swapped, p.body[:second]...)
	p.body = swapped
}
