package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"firescan/provider"
)

// pageSize is the most entries of a page that is made here.
const pageSize = 1000

// sorted lists on a server that lists out of order: it gathers the whole list by tokens,
// sorts it in memory, and makes the pages of it. The list is used for a while, so that
// the ranges of one scan take it from one gathering, and not after a write of our own.
func (b *bucket) sorted(ctx context.Context, req provider.ListRequest, page *provider.Page) error {
	objects, err := b.gather(ctx, req.Prefix)
	if err != nil {
		return err
	}
	page.Fill(len(objects), func(i int) provider.Object { return objects[i] }, req, pageSize)
	return nil
}

// fresh is how long a gathered list is used at least. It is used for as long as four times
// what gathering took.
const fresh = time.Minute

// snapshot is the list of one prefix, whole or on its way.
type snapshot struct {
	gathering chan struct{} // held by the one who gathers

	mu    sync.Mutex
	since int // counts what outdates a list

	// The rest is for the one who gathers.
	prefix  string
	objects []provider.Object
	token   string // goes on with the list
	whole   bool
	at      int // what since was when it began
	began   time.Time
	until   time.Time
}

func newSnapshot() snapshot { return snapshot{gathering: make(chan struct{}, 1)} }

// outdated is told of a write.
func (s *snapshot) outdated() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since++
}

func (s *snapshot) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// gather has the sorted objects of a list that covers prefix. When it fails in the
// middle, the next call goes on there.
func (b *bucket) gather(ctx context.Context, prefix string) ([]provider.Object, error) {
	s := &b.snapshot
	select {
	case s.gathering <- struct{}{}:
		defer func() { <-s.gathering }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := time.Now()
	usable := !s.began.IsZero() && s.at == s.writes()
	switch {
	case usable && s.whole && strings.HasPrefix(prefix, s.prefix) && now.Before(s.until):
		return s.objects, nil
	case usable && !s.whole && prefix == s.prefix && now.Sub(s.began) < 10*time.Minute:
	default:
		s.prefix, s.objects, s.token, s.whole = prefix, nil, "", false
		s.at, s.began = s.writes(), now
	}
	if err := b.gatherOn(ctx, s); err != nil {
		return nil, err
	}
	s.whole = true
	s.until = time.Now().Add(max(fresh, 4*time.Since(s.began)))
	return s.objects, nil
}

func (b *bucket) gatherOn(ctx context.Context, s *snapshot) error {
	w := window{prefix: s.prefix, loose: true}
	for {
		var page provider.Page // it keeps the objects' keys
		out, err := b.page(ctx, w, 0, s.token, &page)
		switch {
		case err != nil:
			if s.token != "" && judge(err).kind == provider.Invalid {
				s.began = time.Time{}
				return &provider.Untrusted{Cause: errLostToken}
			}
			return err
		case out.truncated && out.token == s.token:
			return &provider.Untrusted{Cause: errRepeated}
		}
		s.objects, s.token = append(s.objects, page.Objects...), out.token
		if most := b.account.maxUnordered; len(s.objects) > most {
			s.began, s.objects = time.Time{}, nil
			return tooMany(most)
		}
		if !out.truncated {
			break
		}
	}
	slices.SortFunc(s.objects, func(x, y provider.Object) int { return bytes.Compare(x.Key, y.Key) })
	for i := 1; i < len(s.objects); i++ {
		if bytes.Equal(s.objects[i-1].Key, s.objects[i].Key) {
			s.began = time.Time{}
			return &provider.Untrusted{Cause: errTwiceListed}
		}
	}
	return nil
}

var (
	errTwiceListed = errors.New("the whole list has a key twice")
	errLostToken   = errors.New("the server no longer knows where the list was")
)

func tooMany(most int) error {
	return &provider.Error{
		Kind: provider.Invalid, Op: "list",
		Reason: fmt.Sprintf("the server lists keys out of order, and there are more than %d, which are too many to sort: split them by destinations with paths of their own", most),
	}
}
