package keyspace

import (
	"bytes"
	"slices"
	"strings"
)

// Key is an object key or a part of one, in either of Go's forms.
type Key interface{ string | []byte }

// After returns the least key greater than key.
func After(key string) string { return key + "\x00" }

// AfterBytes returns the least key greater than key, as a new slice.
func AfterBytes(key []byte) []byte { return append(bytes.Clone(key), 0) }

// TrimAfter returns the key from which After made boundary, or boundary itself.
func TrimAfter(boundary string) string { return strings.TrimSuffix(boundary, "\x00") }

// PrefixEnd returns the least key greater than every key that begins with prefix. It
// returns an empty key, which as a range end means unbounded, when there is none: prefix
// is empty or all 0xff.
func PrefixEnd[K Key](prefix K) K {
	for last := len(prefix) - 1; last >= 0; last-- {
		if prefix[last] != 0xff {
			end := slices.Clone([]byte(prefix)[:last+1])
			end[last]++
			return K(end)
		}
	}
	var unbounded K
	return unbounded
}

// CommonPrefix returns the length in bytes of the longest common prefix of a and b.
func CommonPrefix[K Key](a, b K) int {
	n := min(len(a), len(b))
	i := 0
	for i+8 <= n && word(a, i) == word(b, i) {
		i += 8
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// word reads eight bytes of k at i. The compiler makes one load of it.
func word[K Key](k K, i int) uint64 {
	return uint64(k[i]) | uint64(k[i+1])<<8 | uint64(k[i+2])<<16 | uint64(k[i+3])<<24 |
		uint64(k[i+4])<<32 | uint64(k[i+5])<<40 | uint64(k[i+6])<<48 | uint64(k[i+7])<<56
}
