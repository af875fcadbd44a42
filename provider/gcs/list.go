package gcs

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/api/googleapi"

	"firescan/keyspace"
	"firescan/provider"
)

// fields are all that is asked for of a list: an object has 20 more.
const fields = "kind,nextPageToken,prefixes,items(name,size,updated,generation)"

// maxBarren is how many responses without a name are followed by token.
const maxBarren = 1000

var (
	errRepeated = errors.New("the same token came twice")
	errBarren   = errors.New("responses have no names, and never end")
)

// bodies are buffers for lists; a page of 1,000 usual names needs 170 KiB.
var bodies = provider.NewBodies(256 << 10)

// List fills page; see provider.Bucket.
//
// It always goes on by name. Only from a response with nothing of the window, as Cloud
// Storage gives where many objects were deleted, does it follow the server's token,
// inside this one call.
func (b *bucket) List(ctx context.Context, req provider.ListRequest, page *provider.Page) error {
	if err := b.usable(opList); err != nil {
		return err
	}
	w, some := newWindow(req)
	if !some {
		page.Reset()
		return provider.Ended(ctx, opList, b.name)
	}
	d := decoder{window: w, page: page, least: w.from}
	for range maxBarren {
		before := d.token
		if err := b.answer(ctx, &d); err != nil {
			return provider.ListFailed(b.failed(ctx, opList, err), req, d.last)
		}
		if d.finish() {
			return nil
		}
		if d.token == before {
			return b.failed(ctx, opList, &provider.Untrusted{Cause: errRepeated})
		}
	}
	return b.failed(ctx, opList, &provider.Untrusted{Cause: errBarren})
}

// ListSerial fills page by the server's own token; see provider.SerialLister. Google
// lists correctly. The Firebase Storage emulator ignores startOffset and endOffset, and
// sorts names by UTF-16 (firebase-tools 14, src/emulator/storage/files.ts).
func (b *bucket) ListSerial(ctx context.Context, prefix, token string, page *provider.Page) (next string, err error) {
	if !b.account.emulator {
		return "", errors.ErrUnsupported
	}
	if err := b.usable(opList); err != nil {
		return "", err
	}
	w, _ := newWindow(provider.ListRequest{Prefix: prefix})
	w.loose = true
	d := decoder{window: w, page: page, token: token}
	if err := b.answer(ctx, &d); err != nil {
		return "", provider.ListFailed(b.failed(ctx, opList, err), provider.ListRequest{}, d.last)
	}
	return d.token, nil
}

// answer asks for one answer, the one behind d's token, and reads it.
func (b *bucket) answer(ctx context.Context, d *decoder) error {
	query := url.Values{
		"alt": {"json"}, "prettyPrint": {"false"}, "fields": {fields}, "maxResults": {strconv.Itoa(d.count)},
	}
	for name, value := range map[string]string{
		"prefix": d.prefix, "startOffset": d.from, "endOffset": d.until, "delimiter": d.delimiter, "pageToken": d.token,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	ctx = provider.WithResponseLimit(ctx, provider.MaxPage)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.account.base+"b/"+url.PathEscape(b.name)+"/o?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", agent)
	response, err := b.account.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		if err := googleapi.CheckResponse(response); err != nil {
			return err
		}
		return &provider.Untrusted{Cause: errNotAPage}
	}
	next := decoder{window: d.window, page: d.page, least: d.least}
	if d.last != "" {
		next.least = keyspace.After(d.last)
	}
	*d = next
	return bodies.Lend(response.Body, response.ContentLength, func(body []byte) error {
		if err := d.decode(body); err != nil {
			d.last = string(d.lastName)
			if _, is := errors.AsType[*inPlace](err); is {
				return err
			}
			return &provider.Untrusted{Cause: err}
		}
		return nil
	})
}
