package index

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// sharedPrefix is the length of the longest common prefix of a and b.
func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for ; i < n && a[i] == b[i]; i++ {
	}
	return i
}

// prefixEnd is the first key after all keys with the prefix; nil when there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// successor is the least key after key.
func successor(key []byte) []byte {
	return append(bytes.Clone(key), 0)
}

// stemLen is the length of the stem of a key: up to the first '.' of its last path segment.
func stemLen(key []byte) int {
	base := bytes.LastIndexByte(key, '/') + 1
	if dot := bytes.IndexByte(key[base:], '.'); dot >= 0 {
		return base + dot
	}
	return len(key)
}

// before says whether key lies before an exclusive bound, of which nil is the end of all keys.
func before(key, end []byte) bool {
	return len(end) == 0 || bytes.Compare(key, end) < 0
}
