package deletion

import (
	"bytes"
	"context"

	"firescan/keyspace"
	"firescan/provider"
)

const (
	// minListed is the number of files from which on they are looked up by listing, and
	// minPerPage how many of them a page must cover to go on so: a page costs about as much
	// as ten single lookups.
	minListed  = 10
	minPerPage = 10
)

// stat looks up the objects at the paths of candidates, which are sorted. A candidate whose
// lookup fails gets the error.
func (op *operation) stat(ctx context.Context, candidates []*candidate) {
	defer op.addTags(ctx, candidates)
	var page provider.Page
	for len(candidates) >= minListed {
		n, err := op.statPage(ctx, candidates, &page)
		if err != nil || n == 0 {
			break // single lookups may be permitted where lists are not
		}
		candidates = candidates[n:]
		if n < minPerPage {
			break
		}
	}
	op.deleter.each(len(candidates), func(i int) { op.statOne(ctx, candidates[i]) })
}

// addTags looks up the tags of objects that were listed without one: they are the condition of
// the delete, and show whether the object is that of a record under another name.
func (op *operation) addTags(ctx context.Context, candidates []*candidate) {
	var without []*candidate
	for _, c := range candidates {
		if c.err == nil && c.seen != nil && c.seen.Tag == "" {
			without = append(without, c)
		}
	}
	op.deleter.each(len(without), func(i int) {
		c := without[i]
		switch info, err := op.bucket.Stat(ctx, string(c.path)); {
		case provider.KindOf(err) == provider.NotFound:
			c.seen = nil
		case err != nil:
			c.err = err
		case info.Size != c.seen.Size || info.ModTime.Unix() != c.seen.ModTime.Unix():
			c.err = ErrChanged
		default:
			c.seen.Tag = info.Tag
		}
	})
}

// statPage looks up candidates by one page of a list and returns how many it covered.
func (op *operation) statPage(ctx context.Context, candidates []*candidate, page *provider.Page) (int, error) {
	first, last := candidates[0].path, candidates[len(candidates)-1].path
	req := provider.ListRequest{Start: string(first), End: keyspace.After(string(last))}
	// Credentials may permit lists below the destination's path only.
	if p := []byte(op.prefix()); bytes.HasPrefix(first, p) && bytes.HasPrefix(last, p) {
		req.Prefix = string(p)
	}
	if err := op.bucket.List(ctx, req, page); err != nil {
		return 0, err
	}
	objects := page.Objects
	for n, c := range candidates {
		if page.More && string(c.path) >= page.Next {
			return n, nil
		}
		for len(objects) > 0 && bytes.Compare(objects[0].Key, c.path) < 0 {
			objects = objects[1:]
		}
		c.seen = nil
		if len(objects) > 0 && bytes.Equal(objects[0].Key, c.path) {
			c.seen = infoOf(&objects[0])
		}
	}
	return len(candidates), nil
}

// statOne looks up a single file. A file that the index does not have must be listed under
// exactly its key: servers that keep objects in a file system respond to a request for
// "a/../b" with b.
func (op *operation) statOne(ctx context.Context, c *candidate) {
	key := string(c.path)
	if !c.known {
		var err error
		if c.seen, err = provider.Listed(ctx, op.bucket, key); err != nil {
			c.err = err
		}
		return
	}
	info, err := op.bucket.Stat(ctx, key)
	switch {
	case provider.KindOf(err) == provider.NotFound, err == nil && provider.Placeholder(info.Key, info.Size):
		c.seen = nil
	case err != nil:
		c.err = err
	default:
		c.seen = &info
	}
}
