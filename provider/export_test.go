package provider

import (
	"net"
	"net/http"
	"time"
)

// ResolveWith has names resolved by r.
func (e *Egress) ResolveWith(r *net.Resolver) { e.resolver = r }

// MaxLarge is maxLarge, MaxUnqueued is maxUnqueued.
const (
	MaxLarge    = maxLarge
	MaxUnqueued = maxUnqueued
)

// NewBounded returns a transport with another pace.
func NewBounded(next http.RoundTripper, window time.Duration, least int64, whole time.Duration) bounded {
	return newBounded(next, pace{window, least, whole})
}
