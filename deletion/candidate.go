package deletion

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"firescan/index"
	"firescan/provider"
)

// candidate is a file that is to be deleted, what was decided about, what is there now, and
// what became of it. One goroutine at a time has it.
type candidate struct {
	path []byte

	// known says that the index has the file, of that size, time and digest.
	known          bool
	size, modified int64
	digest         uint64
	// needless says that it is as well when the file is not there.
	needless bool

	seen  *provider.Info // nil: it is not there
	gone  bool           // it is not there any more
	freed int64
	err   error
	open  bool // a call may have deleted it, or may do so yet
}

// expect notes what the decision is about.
func (t *candidate) expect(e *index.Entry) {
	t.known, t.size, t.modified, t.digest = true, e.Size, e.ModTime, e.Digest
}

// Outcome is the candidate's, once it is done with.
func (t *candidate) Outcome() Outcome {
	return Outcome{Path: t.path, Deleted: t.gone, Absent: t.gone && t.seen == nil, Size: t.freed, Err: t.err}
}

func (t *candidate) fail(err error) { t.err = err }

// removed notes that the file was deleted.
func (t *candidate) removed() {
	t.gone, t.open, t.err = true, false, nil
	if t.seen != nil {
		t.freed = t.seen.Size
	}
}

// choose tells whether the file is to be deleted, now that it was looked at, and notes why
// not.
func (t *candidate) choose() bool {
	switch {
	case t.err != nil:
		return false
	case t.seen == nil && (t.known || t.needless):
		t.gone = true // and the index is to learn it
		return false
	case t.seen == nil:
		t.err = ErrNotThere
		return false
	case t.known && !t.same(t.seen):
		t.err = ErrChanged
		return false
	}
	return true
}

// infoOf is a listed object, on its own.
func infoOf(o *provider.Object) *provider.Info {
	return &provider.Info{Key: string(o.Key), Size: o.Size, ModTime: time.UnixMilli(o.ModTime), Tag: string(o.Tag)}
}

// same tells whether an object is the one that the index has. Lists may tell times more
// exactly than a look at a single object does.
func (t *candidate) same(o *provider.Info) bool {
	apart := o.ModTime.UnixMilli() - t.modified
	return o.Size == t.size && xxhash.Sum64String(o.Tag) == t.digest && (t.modified <= 0 || apart > -1000 && apart < 1000)
}

const (
	// listFrom is how many files are looked at by listing rather than one by one, and
	// listDense how many of them a page must have told of to go on so: a page costs about as
	// much as ten looks at single objects.
	listFrom  = 10
	listDense = 10
)

// look finds out what lies at the paths of candidates, which ascend. A candidate that could not
// be looked at has failed then.
func (w *deletion) look(ctx context.Context, candidates []*candidate) {
	var page provider.Page
	for len(candidates) >= listFrom {
		n, err := w.lookPage(ctx, candidates, &page)
		if err != nil || n == 0 {
			break // single looks may be permitted where lists are not
		}
		candidates = candidates[n:]
		if n < listDense {
			break
		}
	}
	w.each(len(candidates), func(i int) { w.lookAt(ctx, candidates[i]) })
}

// lookPage looks by one page of a list, and answers of how many candidates it told.
func (w *deletion) lookPage(ctx context.Context, candidates []*candidate, page *provider.Page) (int, error) {
	first, last := candidates[0].path, candidates[len(candidates)-1].path
	req := provider.ListRequest{Start: string(first), End: provider.After(string(last))}
	// Credentials may be good for lists under the destination's own path only.
	if p := []byte(w.prefix()); bytes.HasPrefix(first, p) && bytes.HasPrefix(last, p) {
		req.Prefix = string(p)
	}
	if err := w.bucket.List(ctx, req, page); err != nil {
		return 0, err
	}
	objects := page.Objects
	for n, t := range candidates {
		if page.More && string(t.path) >= page.Next {
			return n, nil
		}
		for len(objects) > 0 && bytes.Compare(objects[0].Key, t.path) < 0 {
			objects = objects[1:]
		}
		t.seen = nil
		if len(objects) > 0 && bytes.Equal(objects[0].Key, t.path) {
			t.seen = infoOf(&objects[0])
		}
	}
	return len(candidates), nil
}

// lookAt looks at a single file. One that the index does not know must be in a list under
// exactly that key: servers that keep objects in a file system answer a call for "a/../b"
// with b.
func (w *deletion) lookAt(ctx context.Context, t *candidate) {
	if !t.known {
		t.seen = nil
		var page provider.Page
		key := string(t.path)
		if err := w.bucket.List(ctx, provider.ListRequest{Prefix: key, End: provider.After(key), MaxKeys: 1}, &page); err != nil {
			t.fail(err)
		} else if len(page.Objects) > 0 && bytes.Equal(page.Objects[0].Key, t.path) {
			t.seen = infoOf(&page.Objects[0])
		}
		return
	}
	info, err := w.bucket.Stat(ctx, string(t.path))
	switch {
	case provider.KindOf(err) == provider.NotFound, err == nil && provider.Placeholder(info.Key, info.Size):
		t.seen = nil
	case err != nil:
		t.fail(err)
	default:
		t.seen = &info
	}
}

// each calls fn for 0 to n-1, some at once.
func (d *Deleter) each(n int, fn func(i int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range min(n, d.calls) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	group.Wait()
}
