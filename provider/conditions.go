package provider

import (
	"context"
	"errors"
	"time"
)

// Conditions report whether a bucket deletes an object only while it has the tag that the
// call names: Single for Delete, Batch for DeleteBatch. Some servers honor the condition
// of neither, some that of the single delete alone, and none of those shows it.
type Conditions struct{ Single, Batch bool }

// ProbeConditions finds out with canary objects, <prefix>.firescan-canary-<random>, one
// for each form of deleting. A condition is honored when a wrong tag leaves the object
// where it is and the right one deletes it. The canaries, and nothing else, are
// removed in any case, also when ctx ends.
//
// It needs the permissions to put, stat and delete; the error names what was missing.
func ProbeConditions(ctx context.Context, b Bucket, prefix string) (Conditions, error) {
	single := func(ctx context.Context, key, tag string) error { return b.Delete(ctx, key, tag) }
	batch := func(ctx context.Context, key, tag string) error {
		return b.DeleteBatch(ctx, []Deletion{{key, tag}})[0]
	}
	var c Conditions
	var err error
	if c.Single, err = honors(ctx, b, prefix, single); err != nil {
		return Conditions{}, err
	}
	if c.Batch, err = honors(ctx, b, prefix, batch); isRefused(err) {
		c.Batch = false // batches alone are refused
	} else if err != nil {
		return Conditions{}, err
	}
	return c, nil
}

// honors tries one form of deleting on a canary.
func honors(ctx context.Context, b Bucket, prefix string, remove func(ctx context.Context, key, tag string) error) (_ bool, err error) {
	if err := removeCanary(ctx, b, prefix); err != nil {
		return false, err
	}
	key := ownKey(prefix, canaryName)
	gone := false
	defer func() {
		if gone {
			_ = removeVersions(ctx, b, key) // what may not be removed stays
		} else {
			err = errors.Join(err, cleanUp(ctx, b, key))
		}
	}()
	if err := b.Put(ctx, key, []byte(canaryText)); err != nil {
		return false, err
	}
	info, err := b.Stat(ctx, key)
	if err != nil || info.Tag == "" {
		return false, err
	}
	// The results of the calls do not count, since a server may claim anything: what
	// counts is whether the canary is there.
	there, err := survives(ctx, b, key, another(info.Tag), remove)
	if gone = !there && err == nil; gone || err != nil {
		return false, err
	}
	there, err = survives(ctx, b, key, info.Tag, remove)
	gone = !there && err == nil
	return gone, err
}

// inUse is how long a canary may be that of another probe.
const inUse = time.Minute

// removeCanary removes a canary that an earlier probe had to leave behind. Where that fails
// no other one is written, so that they do not become many.
func removeCanary(ctx context.Context, b Bucket, prefix string) error {
	var page Page
	if b.List(ctx, ListRequest{Prefix: prefix + canaryName, MaxKeys: fewOwn}, &page) != nil {
		return nil //nolint:nilerr // listing is not needed to probe
	}
	for _, o := range page.Objects {
		if isOwn(o.Key, o.Size) && time.Since(time.UnixMilli(o.ModTime)) > inUse {
			return cleanUp(ctx, b, string(o.Key))
		}
	}
	return nil
}

// survives deletes with a tag and looks whether the object is still there.
func survives(ctx context.Context, b Bucket, key, tag string, remove func(ctx context.Context, key, tag string) error) (bool, error) {
	// A server that refuses the condition as such does not honor it, which shows when
	// the right tag does not delete either.
	if err := remove(ctx, key, tag); err != nil && KindOf(err) != Changed && KindOf(err) != Invalid {
		return false, err
	}
	_, err := b.Stat(ctx, key)
	if KindOf(err) == NotFound {
		return false, nil
	}
	return err == nil, err
}

// another is a tag of the same form that the object does not have.
func another(tag string) string {
	head, last := tag[:len(tag)-1], tag[len(tag)-1:]
	if last == "1" {
		return head + "2"
	}
	return head + "1"
}
