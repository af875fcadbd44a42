package s3

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"

	"firescan/provider"
)

// seen is what was seen of a server's lists.
type seen struct {
	first, inclusive, decodes, ignores, unordered bool
}

// ways are what a bucket's server was seen to do, from many streams. The zero value has
// seen nothing.
type ways struct {
	mu       sync.Mutex
	known    seen
	surveyed bool
	// start tells whether start-after is taken as it is, also with '%' in it.
	start startKind
}

type startKind uint8

const (
	startUntried startKind = iota
	startExact
	startAltered // or not known to be exact
)

func (w *ways) seen() seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known
}

// add takes note of what was seen.
func (w *ways) add(s seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known.first = w.known.first || s.first
	w.known.inclusive = w.known.inclusive || s.inclusive
	w.known.ignores = w.known.ignores || s.ignores
	w.known.unordered = w.known.unordered || s.unordered
	w.known.decodes = w.known.decodes || s.decodes
}

// learn finds out what a page that cannot be trusted says of the server, and tells what is
// known of it now. Of all the streams that met such pages while no more was known than
// before, one looks.
func (b *bucket) learn(ctx context.Context, prefix string, before seen) seen {
	select {
	case b.looking <- struct{}{}:
		defer func() { <-b.looking }()
	case <-ctx.Done():
		return before
	}
	if b.ways.seen() == before {
		// A look that failed has found nothing: the page is an error then.
		if found, err := b.look(ctx, prefix); err == nil {
			b.ways.add(found)
		}
	}
	return b.ways.seen()
}

// Quirks are those that were seen up to now; see provider.Surveyor.
func (b *bucket) Quirks() []provider.Quirk {
	s := b.ways.seen()
	var quirks []provider.Quirk
	for _, q := range []struct {
		has   bool
		quirk provider.Quirk
	}{
		{s.first, provider.FirstVersion},
		{s.inclusive, provider.StartInclusive},
		{s.decodes, provider.StartDecoded},
		{s.ignores, provider.StartIgnored},
		{s.unordered, provider.Unordered},
	} {
		if q.has {
			quirks = append(quirks, q.quirk)
		}
	}
	return quirks
}

// Survey looks for quirks once; see provider.Surveyor. It takes up to four lists, twice
// as many where there are quirks, and none where the flavour is known to have no quirks.
func (b *bucket) Survey(ctx context.Context, prefix string) error {
	b.ways.mu.Lock()
	done := b.ways.surveyed || b.account.flavour.exact
	b.ways.mu.Unlock()
	if done {
		return nil
	}
	found, err := b.look(ctx, prefix)
	if err != nil {
		return b.failed(ctx, "list", err)
	}
	b.ways.add(found)
	b.ways.mu.Lock()
	b.ways.surveyed = true
	b.ways.mu.Unlock()
	return nil
}

// look lists the beginning of prefix and tells what is wrong with it. What it finds it has
// seen twice, since any answer may be spoilt on its way.
func (b *bucket) look(ctx context.Context, prefix string) (seen, error) {
	if b.account.flavour.exact {
		return seen{}, nil
	}
	first, err := b.lookOnce(ctx, prefix)
	if err != nil || first == (seen{}) {
		return seen{}, err
	}
	second, err := b.lookOnce(ctx, prefix)
	return seen{
		first:     first.first && second.first,
		inclusive: first.inclusive && second.inclusive,
		ignores:   first.ignores && second.ignores,
		unordered: first.unordered && second.unordered,
	}, err
}

func (b *bucket) lookOnce(ctx context.Context, prefix string) (seen, error) {
	found, err := b.lookByTokens(ctx, prefix)
	if errors.Is(err, errVersion) {
		// A server that does not know version 2 has none.
		w := window{prefix: prefix, end: endOf(prefix, "")}
		_, err = b.firstVersion(ctx, w, 2, "", &provider.Page{})
		return seen{first: true}, err
	}
	return found, err
}

func (b *bucket) lookByTokens(ctx context.Context, prefix string) (seen, error) {
	w := window{prefix: prefix, end: endOf(prefix, ""), loose: true}
	var page, next provider.Page
	out, err := b.page(ctx, w, 0, "", &page)
	switch {
	case err != nil:
		return seen{}, err
	case out.unordered:
		return seen{unordered: true}, nil
	}
	if out.truncated {
		after, err := b.page(ctx, w, 0, out.token, &next)
		if err != nil {
			return seen{}, err
		}
		if after.unordered || len(next.Objects) > 0 && string(next.Objects[0].Key) <= out.last {
			return seen{unordered: true}, nil
		}
	}
	if len(page.Objects) < 2 {
		return seen{}, nil
	}
	exact, err := b.exact(ctx, prefix)
	if err != nil {
		return seen{}, err
	}
	w.after = behindSome(page.Objects, exact)
	if _, err := b.page(ctx, w, 2, "", &next); err != nil || len(next.Objects) == 0 {
		return seen{}, err
	}
	got := string(next.Objects[0].Key)
	return seen{inclusive: got == w.after, ignores: got < w.after}, nil
}

// behindSome makes a start-after behind the first of some objects at least: a key, if one of
// them can be taken as it is. (Behind the first alone would look like the beginning.)
func behindSome(objects []provider.Object, exact bool) string {
	for _, o := range objects[1:] {
		if key := string(o.Key); exact || !strings.ContainsAny(key, decoded) {
			return key
		}
	}
	key := string(objects[1].Key)
	return key[:strings.IndexAny(key, decoded)] + "~"
}

// exact tells whether start-after is taken as it is also where it holds '%' or '+', which
// some servers decode a second time and then begin elsewhere. It asks once, for what lies
// behind the encoded form of lastCharacter: to a server that decodes it nothing does, so a
// key in the answer shows that it does not. Where no key is answered, one may be hidden,
// and the way around is taken.
func (b *bucket) exact(ctx context.Context, prefix string) (bool, error) {
	b.ways.mu.Lock()
	known := b.ways.start
	b.ways.mu.Unlock()
	if known != startUntried {
		return known == startExact, nil
	}
	if strings.ContainsAny(prefix, decoded) {
		prefix = "" // the prefix itself would be decoded
	}
	behind := func(after string) (bool, error) {
		var page provider.Page
		_, err := b.page(ctx, window{prefix: prefix, end: endOf(prefix, ""), after: prefix + after, loose: true}, 1, "", &page)
		return len(page.Objects) > 0 && string(page.Objects[0].Key) > prefix+after, err
	}
	found, err := behind(url.QueryEscape(lastCharacter))
	if known = startAltered; found {
		known = startExact
	} else if err == nil {
		var hidden bool
		if hidden, err = behind("&"); hidden {
			b.ways.add(seen{decodes: true})
		}
	}
	if err != nil && (judge(err).kind.Temporary() || ctx.Err() != nil) {
		return false, err
	}
	b.ways.mu.Lock()
	b.ways.start = known
	b.ways.mu.Unlock()
	return known == startExact, nil
}
