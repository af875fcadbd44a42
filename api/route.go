package api

import (
	"strings"
	"time"
)

const (
	// bodyLimit bounds the body of most requests, in bytes, and listLimit those that name
	// thousands of files.
	bodyLimit = 1 << 20
	listLimit = 4 << 20
	// quick bounds requests that are served from this node and the log.
	quick = 15 * time.Second
	// remote bounds requests that ask a provider.
	remote = 60 * time.Second
	// deleting bounds requests that delete many files, a chunk of which may take a minute.
	deleting = 15 * time.Minute
	// noTimeout is for streams, which end with their client or their content.
	noTimeout = 0
)

// route is one endpoint.
type route struct {
	method, path string
	access       Access
	timeout      time.Duration
	handle       func(*call) error
}

// bodyLimit is how many bytes the body of a request may have.
func (r *route) bodyLimit() int64 {
	if strings.HasSuffix(r.path, "/files/bulk-delete") {
		return listLimit
	}
	return bodyLimit
}

// ofShard reports whether a route reads the index of the destination that its path names.
func (r *route) ofShard() bool {
	rest, ok := strings.CutPrefix(r.path, "/api/v1/storage/destinations/:id/")
	if !ok {
		return false
	}
	first, _, _ := strings.Cut(rest, "/")
	return first == "files" || first == "backups" || first == "cleanup-orphans"
}

// cleanupTime bounds a cleanup: a million files take an hour where each is deleted by a
// call of its own. It ends with its client, too.
const cleanupTime = 12 * time.Hour
