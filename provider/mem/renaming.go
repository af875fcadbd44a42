package mem

import (
	"path"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A Renaming is how a server keeps objects under other names than they are stored with, and
// still serves them under the latter.
type Renaming struct {
	// Server is the server with its version.
	Server string
	// Store returns the name that an object is listed under.
	Store func(key string) string
	// Same returns a form that all names of an object share; nil is the name itself.
	Same func(name string) string
}

// Renamings are the servers that are known to rename, as they were seen to do it.
func Renamings() []Renaming {
	return []Renaming{
		{Server: "MinIO 2026-02-12", Store: func(key string) string { return strings.TrimLeft(key, "/") }},
		{Server: "SeaweedFS 2026-11-09", Store: func(key string) string {
			key = strings.ReplaceAll(key, `\`, "/")
			for strings.Contains(key, "//") {
				key = strings.ReplaceAll(key, "//", "/")
			}
			return strings.TrimLeft(key, "/")
		}},
		{
			Server: "rclone serve s3 v1.76.0",
			Store:  func(key string) string { return strings.TrimLeft(path.Clean("/"+key), "/") },
			Same:   norm.NFC.String,
		},
	}
}

// nameOf returns the name under which an object is kept. It holds the store's lock.
func (b *bucket) nameOf(s *store, key string) string {
	r := b.account.opts.Renaming
	if r.Store == nil {
		return key
	}
	name := r.Store(key)
	if _, ok := s.objects[name]; ok || r.Same == nil {
		return name
	}
	for other := range s.objects {
		if r.Same(other) == r.Same(name) {
			return other
		}
	}
	return name
}
