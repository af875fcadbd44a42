package s3

import (
	"context"
	"slices"
	"strings"
	"sync"

	"firescan/provider"
)

// walk lists on a server whose start-after is not to be trusted: by the server's own
// tokens, from its beginning on or from behind from, which is the last place that
// start-after is good for.
//
// The places that it comes by are remembered, so that the next page takes one list and
// ranges that begin elsewhere take the rest of the way at most. One stream at a time goes
// where none has been, and the others use what it finds.
func (b *bucket) walk(ctx context.Context, req provider.ListRequest, from string, page *provider.Page) error {
	w := windowOf(req)
	path := pathOf{req.Prefix, req.Delimiter}
	at := b.paths.nearest(path, w.start)
	if at.next != w.start {
		select {
		case b.paths.walking <- struct{}{}:
			defer func() { <-b.paths.walking }()
		case <-ctx.Done():
			return ctx.Err()
		}
		at = b.paths.nearest(path, w.start)
	}
	if from >= at.next {
		at = place{}
		w.after = from
	}
	for {
		if at.token != "" {
			w.after = strings.TrimRight(at.next, "\x00")
			if w.after == at.next {
				w.after = "" // it goes on behind a folded prefix
			}
		}
		out, err := b.page(ctx, w, req.MaxKeys, at.token, page)
		if err != nil {
			if at.token != "" && judge(err).kind == provider.Invalid {
				b.paths.forget(path) // tokens may expire
				return &provider.Untrusted{Cause: errLostToken}
			}
			return err
		}
		next, more := w.following(out)
		switch {
		case !more:
			return nil
		case next <= at.next || out.token == at.token:
			return &provider.Untrusted{Cause: errRepeated}
		}
		at = place{next, out.token}
		b.paths.add(path, at)
		if next > w.start {
			page.Next, page.More = next, true
			return nil
		}
	}
}

// place is where a server's token leads: the first key that can follow.
type place struct{ next, token string }

// pathOf are the lists whose tokens are of one kind.
type pathOf struct{ prefix, delimiter string }

// maxPlaces is how many places of one path are remembered. When there are more, every
// other one is forgotten.
const maxPlaces = 16 << 10

type paths struct {
	// walking is held by the one who goes where none has been.
	walking chan struct{}

	mu     sync.Mutex
	places map[pathOf][]place
}

func newPaths() paths { return paths{walking: make(chan struct{}, 1), places: map[pathOf][]place{}} }

// nearest is the last place from which a list comes to start; the zero place is the beginning.
func (p *paths) nearest(path pathOf, start string) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	places := p.places[path]
	i, found := slices.BinarySearchFunc(places, start, comparePlace)
	switch {
	case found:
		return places[i]
	case i > 0:
		return places[i-1]
	}
	return place{}
}

func (p *paths) add(path pathOf, at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	places := p.places[path]
	i, found := slices.BinarySearchFunc(places, at.next, comparePlace)
	if found {
		places[i] = at
		return
	}
	places = slices.Insert(places, i, at)
	if len(places) > maxPlaces {
		thinned := places[:0]
		for i := 0; i < len(places); i += 2 {
			thinned = append(thinned, places[i])
		}
		places = thinned
	}
	p.places[path] = places
}

func (p *paths) forget(path pathOf) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.places, path)
}

func comparePlace(p place, next string) int { return strings.Compare(p.next, next) }
