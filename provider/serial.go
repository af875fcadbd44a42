package provider

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"firescan/keyspace"
)

// The reasons why a server cannot be listed by ranges, as causes of an error of kind
// Corrupt. Serial lists such a server in another way.
var (
	// ErrUnordered is returned when a page is not in ascending order.
	ErrUnordered = errors.New("the server lists keys out of order")
	// ErrStartIgnored is returned when a page holds keys before the requested start.
	ErrStartIgnored = errors.New("the server ignores the start of a list")
	// ErrStartMoved is returned when a list begins at another key than requested, so that
	// keys would be lost.
	ErrStartMoved = errors.New("the server begins a list at another key than requested")
)

// listFault returns the reason why the server cannot be listed by ranges, if err names
// one.
func listFault(err error) error {
	for _, fault := range []error{ErrUnordered, ErrStartIgnored, ErrStartMoved} {
		if errors.Is(err, fault) {
			return fault
		}
	}
	return nil
}

// serialLifetime is how long a listing is kept after its last use.
const serialLifetime = time.Minute

// Serial returns a bucket that can be listed by ranges although its server ignores the
// start of a list, as the Firebase Storage emulator does, or lists keys out of order.
//
// While b.List works, Serial only passes it on. When it fails for one of the reasons
// above (b has retried it by then), the whole prefix is listed once in one serial stream,
// through the server's own tokens, and sorted in memory. All pages of requests with the
// same or an earlier ListRequest.Since are then served from this listing. A request
// without Since is served from a separate listing.
//
// Memory is bounded by m; a list that does not fit is an error.
func Serial(b SerialLister, m *SerialMemory) Bucket {
	return &serial{Bucket: b, lister: b, memory: m, turn: make(chan struct{}, 1)}
}

type serial struct {
	Bucket
	lister SerialLister
	memory *SerialMemory

	// faulty is set when the server cannot be listed by ranges.
	faulty atomic.Bool

	turn chan struct{} // held while the kept listing is used
	kept *listing
}

// IsSerial reports whether lists of b are known to be served from a serial listing, which
// began before the call but not before ListRequest.Since.
func IsSerial(b Bucket) bool {
	s, ok := As[*serial](b)
	return ok && s.faulty.Load()
}

// Unwrap returns the decorated bucket; see As.
func (s *serial) Unwrap() Bucket { return s.Bucket }

// List implements Bucket.
func (s *serial) List(ctx context.Context, req ListRequest, page *Page) error {
	if !s.faulty.Load() {
		err := s.Bucket.List(ctx, req, page)
		if listFault(err) == nil || s.tryFirst(ctx, req.Prefix) != nil {
			return err
		}
		s.faulty.Store(true)
	}
	if req.Range().IsEmpty() {
		page.Reset()
		return Ended(ctx, "list", "")
	}
	if req.Since.IsZero() {
		l := &listing{lister: s.lister, memory: s.memory, prefix: narrowest(req)}
		defer l.close()
		return l.serve(ctx, req, page)
	}
	return s.listKept(ctx, req, page)
}

// tryFirst reports whether the first page of a serial listing succeeds.
func (s *serial) tryFirst(ctx context.Context, prefix string) error {
	_, err := s.lister.ListSerial(ctx, prefix, "", &Page{})
	return err
}

// listKept serves a page from a listing that later pages are served from, too.
func (s *serial) listKept(ctx context.Context, req ListRequest, page *Page) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return Ended(ctx, "list", "")
	}
	if s.kept == nil || !s.kept.fits(req) {
		if s.kept != nil {
			s.kept.close()
		}
		s.kept = &listing{lister: s.lister, memory: s.memory, prefix: req.Prefix}
	}
	kept := s.kept
	if kept.expiry != nil {
		kept.expiry.Stop()
	}
	err := kept.serve(ctx, req, page)
	kept.expiry = time.AfterFunc(serialLifetime, func() { s.expire(kept) })
	return err
}

// expire drops a kept listing that was not used for a while.
func (s *serial) expire(l *listing) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.kept == l {
		l.close()
		s.kept = nil
	}
}

// narrowest returns the longest prefix that all keys of a request share.
func narrowest(req ListRequest) string {
	r := req.Range()
	common := r.Start[:keyspace.CommonPrefix(r.Start, r.End)]
	for !utf8.ValidString(common) {
		common = common[:len(common)-1]
	}
	if len(common) > len(req.Prefix) {
		return common
	}
	return req.Prefix
}

// Reasons why a serial listing fails, as causes of an error of kind Corrupt.
var (
	errTokenRepeated = errors.New("the server returned the same token twice")
	errTokenUnknown  = errors.New("the server does not know its own token any more")
	errEndless       = errors.New("the server returns empty pages without end")
	errKeyTwice      = errors.New("the server listed a key twice")
)

// isBroken reports whether a listing has to begin again.
func isBroken(err error) bool {
	return slices.ContainsFunc([]error{errTokenRepeated, errTokenUnknown, errEndless, errKeyTwice},
		func(cause error) bool { return errors.Is(err, cause) })
}

const (
	// maxListings is how often a listing is begun again within one call, since a write in
	// the middle of it can invalidate a token.
	maxListings = 3
	// maxEmptyPages is how many empty pages in a row a listing may have.
	maxEmptyPages = 1000
)

// A listing is the sorted list of one prefix, complete or under way. It is not safe for
// concurrent use.
type listing struct {
	lister SerialLister
	memory *SerialMemory
	prefix string

	began    time.Time // zero before the first page
	token    string    // of the next page
	complete bool
	objects  []Object
	seen     map[uint64]bool // hashes of tokens and of the first keys of pages
	empty    int             // empty pages in a row
	reserved int64           // bytes of memory
	expiry   *time.Timer
}

// fits reports whether the listing, complete or continued, has the keys of a request.
func (l *listing) fits(req ListRequest) bool {
	return strings.HasPrefix(req.Prefix, l.prefix) && !l.began.Before(req.Since)
}

// serve completes the listing and fills page from it. A listing that fails for a reason
// that passes continues with the next call; any other begins again.
func (l *listing) serve(ctx context.Context, req ListRequest, page *Page) error {
	for attempt := 1; !l.complete; attempt++ {
		err := l.read(ctx)
		if err == nil {
			break
		}
		broken := isBroken(err)
		if broken || !KindOf(err).Temporary() {
			l.close()
		}
		if !broken || attempt == maxListings {
			return err
		}
	}
	page.Fill(len(l.objects), func(i int) Object { return l.objects[i] }, req, serialPage)
	return nil
}

// serialPage is the maximum number of entries of a page that is served from a listing.
const serialPage = 1000

// read reads pages up to the end of the list, and sorts it.
func (l *listing) read(ctx context.Context) error {
	if l.began.IsZero() {
		l.began = time.Now()
	}
	var page Page
	if l.seen == nil {
		l.seen = map[uint64]bool{}
	}
	for first := true; first || l.token != ""; first = false {
		next, err := l.lister.ListSerial(ctx, l.prefix, l.token, &page)
		switch {
		case err != nil && l.token != "" && KindOf(err) == Invalid:
			return untrusted(errTokenUnknown)
		case err != nil:
			return err
		case next != "" && l.repeats('t', []byte(next)):
			return untrusted(errTokenRepeated)
		case len(page.Objects) > 0 && l.repeats('k', page.Objects[0].Key):
			return untrusted(errKeyTwice)
		}
		if l.empty++; len(page.Objects) > 0 {
			l.empty = 0
		}
		if l.empty > maxEmptyPages {
			return untrusted(errEndless)
		}
		if err := l.add(page.Objects); err != nil {
			return err
		}
		l.token = next
	}
	slices.SortFunc(l.objects, func(a, b Object) int { return bytes.Compare(a.Key, b.Key) })
	for i := 1; i < len(l.objects); i++ {
		if bytes.Equal(l.objects[i-1].Key, l.objects[i].Key) {
			return untrusted(errKeyTwice)
		}
	}
	l.complete = true
	return nil
}

// repeats reports whether a token, or the first key of a page, came before: such a list never
// ends.
func (l *listing) repeats(kind byte, value []byte) bool {
	h := xxhash.Sum64(append([]byte{kind}, value...))
	before := l.seen[h]
	l.seen[h] = true
	return before
}

// add copies the objects of a page, which may be empty: its token is remembered, too.
func (l *listing) add(objects []Object) error {
	size := 0
	for _, o := range objects {
		size += len(o.Key) + len(o.Tag)
	}
	reserve := int64(size + len(objects)*objectSize + pageSize)
	if err := l.memory.reserve(reserve); err != nil {
		return err
	}
	l.reserved += reserve
	store := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		at := len(store)
		store = append(store, b...)
		return store[at:len(store):len(store)]
	}
	for _, o := range objects {
		o.Key, o.Tag = keep(o.Key), keep(o.Tag)
		l.objects = append(l.objects, o)
	}
	return nil
}

// close releases the memory of the listing, which can be begun again.
func (l *listing) close() {
	l.memory.release(l.reserved)
	l.began, l.token, l.complete = time.Time{}, "", false
	l.objects, l.seen, l.empty, l.reserved = nil, nil, 0, 0
}

func untrusted(cause error) error {
	return &Error{Kind: Corrupt, Op: "list", Reason: cause.Error(), Err: &Untrusted{cause}}
}
