package api

import (
	"strings"
	"time"
)

const (
	// bodyLimit bounds the body of most requests, in bytes; listLimit those with
	// thousands of paths or records.
	bodyLimit = 1 << 20
	listLimit = 4 << 20
	// quick bounds requests that need only this node and the log.
	quick = 15 * time.Second
	// remote bounds requests that call a provider.
	remote = 60 * time.Second
	// deleting bounds requests that delete many files, in chunks of up to a minute.
	deleting = 15 * time.Minute
	// noTimeout is for streams, which end with their client or their data.
	noTimeout = 0
)

// route is one endpoint.
type route struct {
	method, path string
	access       Access
	timeout      time.Duration
	handle       func(*call) error
}

// bodyLimit returns the maximum size of a body, in bytes.
func (r *route) bodyLimit() int64 {
	if strings.HasSuffix(r.path, "/files/bulk-delete") || strings.HasSuffix(r.path, "/import/check") {
		return listLimit
	}
	return bodyLimit
}

// ofDestination reports whether the id in the path is that of a destination.
func (r *route) ofDestination() bool {
	return strings.HasPrefix(r.path, "/api/v1/storage/destinations/:id")
}

// ofShard reports whether the route reads the index of the destination in its path.
func (r *route) ofShard() bool {
	rest, ok := strings.CutPrefix(r.path, "/api/v1/storage/destinations/:id/")
	if !ok {
		return false
	}
	first, _, _ := strings.Cut(rest, "/")
	return first == "files" || first == "backups" || first == "cleanup-orphans"
}

// cleanupTime bounds a cleanup: one million files take an hour where each needs a call.
// It also ends with its client.
const cleanupTime = 12 * time.Hour
