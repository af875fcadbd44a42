package provider

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Permissions are what a set of credentials may do in a bucket.
type Permissions struct{ Read, Write, Delete bool }

// A Permissioner is a bucket whose provider reports permissions.
type Permissioner interface {
	TestPermissions(ctx context.Context) (Permissions, error)
}

// probeCleanup bounds the removal of a probe object when the caller has given up.
const probeCleanup = 10 * time.Second

// Probe finds out by trying: it lists under prefix, writes an object
// <prefix>.firescan-probe-<random>, looks at it and deletes it again. To read is to list,
// and to look at an object where one could be written. What the provider denies is
// false; any other failure is the error, with what was found up to then.
//
// A provider that reports permissions (Permissioner) is believed in what it denies,
// so that no object is written which could not be deleted. With another the probe object
// stays behind where writing is permitted and deleting is not, since nothing can be
// done about it; the next probe writes it again rather than another one.
func Probe(ctx context.Context, b Bucket, prefix string) (Permissions, error) {
	may := Permissions{Read: true, Write: true, Delete: true}
	if asked, ok := As[Permissioner](b); ok {
		// Permissions that it cannot report are tried.
		if reported, err := asked.TestPermissions(ctx); err == nil {
			may = reported
		}
	}
	var p Permissions
	var err error
	if p.Read, err = permitted(b.List(ctx, ListRequest{Prefix: prefix, MaxKeys: 1}, &Page{})); err != nil {
		return p, err
	}
	p.Read = p.Read && may.Read
	if !may.Write || !may.Delete {
		p.Write, p.Delete = may.Write, may.Delete
		return p, nil
	}
	return tryObject(ctx, b, prefix, p)
}

// tryObject completes p by an object that it writes, looks at and deletes.
func tryObject(ctx context.Context, b Bucket, prefix string, p Permissions) (_ Permissions, err error) {
	key, err := probeKey(ctx, b, prefix, p.Read)
	if err != nil {
		return p, err
	}
	p.Write, err = permitted(b.Put(ctx, key, []byte(probeText)))
	if p.Write {
		var looked bool
		_, failure := b.Stat(ctx, key)
		if KindOf(failure) == NotFound {
			failure = nil // a probe beside this one had the same key, and is done with it
		}
		looked, err = permitted(failure)
		p.Read = p.Read && looked
	}
	// Deleting is tried also when nothing could be written: a provider asks for the
	// permission before it looks for the object, which may be there after an error too.
	allowed, left := permitted(cleanUp(ctx, b, key))
	if err == nil {
		p.Delete = allowed
	}
	return p, errors.Join(err, left)
}

// probeKey is the key of an object that an earlier probe had to leave behind, or a new
// one.
func probeKey(ctx context.Context, b Bucket, prefix string, mayList bool) (string, error) {
	if mayList {
		var page Page
		if err := b.List(ctx, ListRequest{Prefix: prefix + probeName, MaxKeys: fewOwn}, &page); err != nil {
			return "", err
		}
		for _, o := range page.Objects {
			if isOwn(o.Key, o.Size) {
				return string(o.Key), nil
			}
		}
	}
	return ownKey(prefix, probeName), nil
}

func permitted(err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case isRefused(err):
		return false, nil
	}
	return false, err
}

// isRefused reports whether a call is denied, or the server has no such function at all.
func isRefused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Kind == Denied || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented)
}

// cleanUp removes what a probe wrote, or may have written, also when the caller has
// given up.
func cleanUp(ctx context.Context, b Bucket, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
	defer cancel()
	err := b.Delete(ctx, key, "")
	if err == nil {
		_ = removeVersions(ctx, b, key) // what may not be removed stays
	}
	return err
}
