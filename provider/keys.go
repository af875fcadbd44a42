package provider

import "strings"

// Placeholder tells whether an object of that key and size only stands for a folder:
// consoles and sync tools make such empty objects, and they are no files.
func Placeholder(key string, size int64) bool {
	return size == 0 && strings.HasSuffix(key, "/")
}
