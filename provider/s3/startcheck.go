package s3

import (
	"context"
	"net/url"
	"strings"

	"firescan/provider"
)

// decoded are the characters that URL decoding alters.
const decoded = "%+"

const (
	startUnknown = iota
	startAsIs
	startAltered // or not known to be taken as it is
)

// takesStartAsIs reports whether start-after is taken as it is also where it holds '%' or
// '+'. A server that decodes it a second time begins elsewhere, and keys would be lost
// without a sign. No server in use today is known to do so.
//
// It asks once, for what follows the encoded form of lastCharacter: for a server that
// decodes it nothing does, so a key in the page shows that it does not. Without a key,
// one may be hidden.
func (b *bucket) takesStartAsIs(ctx context.Context, prefix string) (bool, error) {
	if b.account.flavor.exact {
		return true, nil
	}
	if known := b.start.Load(); known != startUnknown {
		return known == startAsIs, nil
	}
	if strings.ContainsAny(prefix, decoded) {
		prefix = "" // it would be decoded itself
	}
	after := prefix + url.QueryEscape(lastCharacter)
	var page provider.Page
	w := windowOf(provider.ListRequest{Prefix: prefix})
	w.after, w.loose = after, true
	_, err := b.page(ctx, w, 1, "", &page)
	if err != nil && (classify(err).kind.Temporary() || ctx.Err() != nil) {
		return false, err
	}
	if len(page.Objects) > 0 && string(page.Objects[0].Key) > after {
		b.start.Store(startAsIs)
		return true, nil
	}
	b.start.Store(startAltered)
	return false, nil
}
