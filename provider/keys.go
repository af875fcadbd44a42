package provider

import "strings"

// PrefixEnd returns the least string that is greater than every string that begins
// with prefix, or "" where there is none.
func PrefixEnd(prefix string) string {
	for last := len(prefix) - 1; last >= 0; last-- {
		if c := prefix[last]; c < 0xff {
			return prefix[:last] + string([]byte{c + 1})
		}
	}
	return ""
}

// Placeholder tells whether an object of that key and size only stands for a folder:
// consoles and sync tools make such empty objects, and they are no files.
func Placeholder(key string, size int64) bool {
	return size == 0 && strings.HasSuffix(key, "/")
}
