package mem

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"firescan/provider"
)

// A Renaming is how a server keeps objects under other names than they are stored with, and
// still serves them under the latter.
type Renaming struct {
	// Server is the name of the server, Version its version.
	Server, Version string
	// Store returns the name that an object is listed under, or "" if the server refuses it.
	Store func(key string) string
	// Same returns a form that all names of an object share; nil is the name itself.
	Same func(name string) string
	// Shows reports whether a list with a prefix has the object that is found under the prefix,
	// as if that were its name. Nil is never.
	Shows func(req provider.ListRequest) bool
}

// Renamings are servers that rename, as testdata has recorded them.
func Renamings() []Renaming {
	return []Renaming{
		{Server: "minio", Version: "v0.0.0-20260212201848-7aac2a2c5b7c", Shows: func(req provider.ListRequest) bool {
			return req.MaxKeys == 1 && !strings.Contains(req.Prefix, "//")
		}, Store: func(key string) string {
			switch {
			case hasDots(key) || !strings.HasPrefix(key, "/") && strings.Contains(key, "//"):
				return ""
			case strings.HasPrefix(key, "/"):
				return strings.TrimPrefix(path.Clean(key), "/")
			}
			return key
		}},
		{Server: "seaweedfs", Version: "v0.0.0-20261109003541-7506e5f91cd6", Shows: func(req provider.ListRequest) bool {
			// "a//b", but not "/a//b" or "a///b"
			folder, _, doubled := strings.Cut(req.Prefix, "//")
			return doubled && path.Clean("/"+req.Prefix) == "/"+folder+req.Prefix[len(folder)+1:] && path.Clean("/"+folder) == "/"+folder
		}, Store: func(key string) string {
			key = strings.ReplaceAll(key, `\`, "/")
			if hasDots(key) {
				return ""
			}
			for strings.Contains(key, "//") {
				key = strings.ReplaceAll(key, "//", "/")
			}
			return strings.TrimLeft(key, "/")
		}},
		{Server: "rclone", Version: "v1.76.0", Same: norm.NFC.String, Store: func(key string) string {
			if path.Clean("/"+key) != "/"+key {
				return ""
			}
			return key
		}},
		{Server: "rclone-1.73", Version: "v1.73.5", Same: norm.NFC.String, Shows: func(req provider.ListRequest) bool {
			// "/a/b", but not "/b"
			return strings.LastIndex(req.Prefix, "/") > 0 && path.Clean("/"+req.Prefix) == req.Prefix
		}, Store: func(key string) string {
			return strings.TrimLeft(path.Clean("/"+key), "/")
		}},
	}
}

// hasDots reports whether a segment of key is "." or "..".
func hasDots(key string) bool {
	segments := strings.Split(key, "/")
	return slices.Contains(segments, ".") || slices.Contains(segments, "..")
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

// shown returns the name of the only object of a list; see Renaming.Shows.
func (b *bucket) shown(s *store, req provider.ListRequest) (name string, ok bool) {
	shows := b.account.opts.Renaming.Shows
	if shows == nil || !shows(req) || req.Prefix == "" || req.Start != "" {
		return "", false
	}
	name = b.nameOf(s, req.Prefix)
	_, ok = s.objects[name]
	return name, ok
}
