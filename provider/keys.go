package provider

import "strings"

// PrefixEnd returns the least string that is greater than every string that begins
// with prefix, or "" where there is none.
func PrefixEnd(prefix string) string {
	end := strings.TrimRight(prefix, "\xff")
	if end == "" {
		return ""
	}
	last := len(end) - 1
	return end[:last] + string([]byte{end[last] + 1})
}

// Placeholder tells whether an object of that key and size only stands for a folder:
// consoles and sync tools make such empty objects, and they are no files.
func Placeholder(key string, size int64) bool {
	return size == 0 && strings.HasSuffix(key, "/")
}
