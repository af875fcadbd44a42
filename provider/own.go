package provider

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"
)

// The names and contents of objects that firescan writes to find out what it may do, each
// <prefix><name><random>. They are removed at once where that is permitted.
const (
	probeName  = ".firescan-probe-"
	canaryName = ".firescan-canary-"

	probeText  = "written by firescan to see whether it may; safe to delete\n"
	canaryText = "written by firescan to see how deleting works; safe to delete\n"

	randomSize = 26 // of rand.Text

	// fewOwn is how many objects with such names are looked through for an own one: others
	// may have similar names.
	fewOwn = 10
)

// ownKey returns the key of a new object of firescan's own.
func ownKey(prefix, name string) string { return prefix + name + rand.Text() }

// A VersionRemover is a bucket whose provider may keep versions of deleted objects.
type VersionRemover interface {
	// RemoveVersions removes all versions of the object at key, and its delete markers, by
	// their ids. Where there are none it does nothing.
	RemoveVersions(ctx context.Context, key string) error
}

// A SoftDeleter is a bucket that may keep deleted objects for a while. They are paid for
// until it is over.
type SoftDeleter interface {
	// SoftDelete returns how long; 0 is not at all, or unknown.
	SoftDelete(ctx context.Context) time.Duration
}

// removeVersions removes what a versioned bucket keeps of one of our own objects. The error
// is the reason why it stays: that is not possible or not permitted.
func removeVersions(ctx context.Context, b Bucket, key string) error {
	remover, ok := As[VersionRemover](b)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
	defer cancel()
	return remover.RemoveVersions(ctx, key)
}

// isOwn reports whether an object is one of firescan's own. The order of the checks makes
// it a matter of a nanosecond for any other.
func isOwn(key []byte, size int64) bool {
	n := len(key) - randomSize
	if n < len(probeName) || key[n-1] != '-' {
		return false
	}
	var name string
	switch size {
	case int64(len(probeText)):
		name = probeName
	case int64(len(canaryText)):
		name = canaryName
	default:
		return false
	}
	stem := key[:n]
	if !bytes.HasSuffix(stem, []byte(name)) {
		return false
	}
	return !slices.ContainsFunc(key[n:], func(c byte) bool { return (c < 'A' || c > 'Z') && (c < '2' || c > '7') })
}

// HideOwn returns a bucket whose lists do not have firescan's own objects, unless the
// prefix of the request names them.
func HideOwn(b Bucket) Bucket { return hidingOwn{b} }

type hidingOwn struct{ Bucket }

// Unwrap returns the bucket inside; see As.
func (h hidingOwn) Unwrap() Bucket { return h.Bucket }

// List implements Bucket.
func (h hidingOwn) List(ctx context.Context, req ListRequest, page *Page) error {
	err := h.Bucket.List(ctx, req, page)
	if err != nil || strings.Contains(req.Prefix, probeName) || strings.Contains(req.Prefix, canaryName) {
		return err
	}
	page.Objects = slices.DeleteFunc(page.Objects, func(o Object) bool { return isOwn(o.Key, o.Size) })
	return nil
}
