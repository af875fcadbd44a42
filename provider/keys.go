package provider

import "strings"

// Placeholder reports whether an object of that key and size only represents a
// folder: consoles and sync tools create such empty objects, and they are no files.
func Placeholder(key string, size int64) bool {
	return size == 0 && strings.HasSuffix(key, "/")
}
