package provider

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
)

// sampleSize is the number of objects that CompareSamples compares at most.
const sampleSize = 100

// Reasons why samples of two buckets show nothing.
var (
	errNoSample      = errors.New("there are no objects to compare")
	errSampleChanged = errors.New("the objects changed while they were compared")
)

// A Sighting is what was seen of a probe object through another bucket.
type Sighting struct {
	// Seen reports that an object is at its key, whatever its size: servers that encrypt show
	// another one. The key is random, so nobody else has written it.
	Seen bool
	// Exact reports that it has the same tag. Its content is random, so a server cannot know
	// the tag without having the object.
	Exact bool
	// Err is the reason why the bucket could not be asked.
	Err error
}

// ProbeIdentity finds out which other buckets are the one that b writes to, whatever their
// endpoints look like: it writes an object below prefix, looks for it in each of others, and
// deletes it. The error is the reason why the object could not be written.
func ProbeIdentity(ctx context.Context, b Bucket, prefix string, others []Bucket) (sightings []Sighting, err error) {
	key := ownKey(prefix, probeName)
	defer func() {
		if failed := cleanUp(ctx, b, key); err == nil && KindOf(failed) != NotFound {
			err = failed
		}
	}()
	random := rand.Text()
	if err := b.Put(ctx, key, []byte(probeText[:len(probeText)-len(random)]+random)); err != nil {
		return nil, err
	}
	own, failure := b.Stat(ctx, key)
	if failure != nil {
		own.Tag = ""
	}
	sightings = make([]Sighting, len(others))
	for i, other := range others {
		info, err := other.Stat(ctx, key)
		switch {
		case err == nil:
			sightings[i] = Sighting{Seen: true, Exact: own.Tag != "" && info.Tag == own.Tag}
		case KindOf(err) != NotFound:
			sightings[i].Err = err
		}
	}
	return sightings, nil
}

// CompareSamples finds out whether two buckets are one by the first objects below a prefix,
// where nothing may be written: it compares keys, sizes, times and tags. It makes three
// requests, which name no key. When the result cannot be known, the error says why.
func CompareSamples(ctx context.Context, a, b Bucket, prefix string) (same bool, err error) {
	var first, other, again Page
	for _, step := range []struct {
		bucket Bucket
		page   *Page
	}{{a, &first}, {b, &other}, {a, &again}} {
		if err := step.bucket.List(ctx, ListRequest{Prefix: prefix, MaxKeys: sampleSize}, step.page); err != nil {
			return false, err
		}
	}
	if len(first.Objects)+len(other.Objects)+len(again.Objects) == 0 {
		return false, errNoSample
	}
	// What a has before and after b was listed did not change in between.
	stable, missing := map[string]*Object{}, 0
	for i := range first.Objects {
		o := &first.Objects[i]
		if other.covers(o.Key) && again.covers(o.Key) && equalObject(o, again.find(o.Key)) {
			stable[string(o.Key)] = o
			missing++
		}
	}
	for i := range other.Objects {
		o := &other.Objects[i]
		switch mine := stable[string(o.Key)]; {
		case mine != nil && equalObject(mine, o):
			return true, nil
		case mine == nil && first.covers(o.Key) && again.covers(o.Key) && first.find(o.Key) == nil && again.find(o.Key) == nil:
			missing++ // a does not have it
		}
	}
	if missing == 0 {
		return false, errSampleChanged
	}
	return false, nil
}

// covers reports whether the page shows whether there is an object at key.
func (p *Page) covers(key []byte) bool { return !p.More || string(key) < p.Next }

func (p *Page) find(key []byte) *Object {
	for i := range p.Objects {
		if bytes.Equal(p.Objects[i].Key, key) {
			return &p.Objects[i]
		}
	}
	return nil
}

func equalObject(a, b *Object) bool {
	return b != nil && a.Size == b.Size && a.ModTime == b.ModTime && bytes.Equal(a.Tag, b.Tag)
}
