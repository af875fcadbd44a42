package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// Permissions tell what a set of credentials may do in a bucket.
type Permissions struct{ Read, Write, Delete bool }

// probeCleanup bounds the removal of a probe object when the caller has given up.
const probeCleanup = 10 * time.Second

// Probe finds out by trying: it lists one key under prefix, writes an object
// <prefix>.firescan-probe-<random> and deletes it again. What the provider denies is
// false; any other failure is the error, with what was found up to then.
//
// Where writing is permitted and deleting is not, the probe object stays behind, since
// nothing can be done about it.
func Probe(ctx context.Context, b Bucket, prefix string) (Permissions, error) {
	var p Permissions
	var err error
	if p.Read, err = permitted(b.List(ctx, ListRequest{Prefix: prefix, MaxKeys: 1}, &Page{})); err != nil {
		return p, err
	}
	if s, ok := As[Surveyor](b); ok && p.Read {
		if err := s.Survey(ctx, prefix); err != nil {
			return p, err
		}
	}
	key := prefix + ".firescan-probe-" + rand.Text()
	p.Write, err = permitted(b.Put(ctx, key, []byte("written by firescan to see whether it may; safe to delete\n")))
	// Deleting is tried also when nothing could be written: a provider asks for the
	// permission before it looks for the object, which may be there after an error too.
	allowed, lost := permitted(cleanUp(ctx, b, key))
	if err == nil {
		p.Delete = allowed
	}
	return p, errors.Join(err, lost)
}

func permitted(err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case KindOf(err) == Denied:
		return false, nil
	}
	return false, err
}
