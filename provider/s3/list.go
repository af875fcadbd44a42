package s3

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"firescan/provider"
)

var errRepeated = errors.New("the same token came twice")

// smallPage is how many keys at least show whether a list is in order.
const smallPage = 100

// List fills page; see provider.Bucket.
//
// A page that is out of order, lies before what was asked for or is one of version 1 is an
// error, unless a look at the server shows that its lists are like that: then they are made in
// another way from now on, this one included.
func (b *bucket) List(ctx context.Context, req provider.ListRequest, page *provider.Page) error {
	if end := endOf(req.Prefix, req.End); end != "" && max(req.Start, req.Prefix) >= end {
		page.Reset()
		return nil
	}
	if req.MaxKeys > 0 && req.MaxKeys < smallPage {
		if err := b.Survey(ctx, req.Prefix); err != nil {
			return err
		}
	}
	before := b.ways.seen()
	err := b.list(ctx, req, page, before)
	if errors.Is(err, errOrder) || errors.Is(err, errBefore) || errors.Is(err, errVersion) {
		if now := b.learn(ctx, req.Prefix, before); now != before {
			err = b.list(ctx, req, page, now)
		}
	}
	if err != nil {
		return b.failed(ctx, "list", err)
	}
	return nil
}

// list makes a list in the way that the server needs.
func (b *bucket) list(ctx context.Context, req provider.ListRequest, page *provider.Page, seen seen) error {
	switch {
	case seen.unordered:
		return b.sorted(ctx, req, page)
	case seen.ignores:
		return b.walk(ctx, req, "", page)
	}
	after := startAfter(req.Prefix, req.Start)
	if strings.ContainsAny(after, decoded) && !b.account.flavour.exact {
		exact, err := b.exact(ctx, req.Prefix)
		if err != nil {
			return err
		}
		if !exact {
			return b.walk(ctx, req, plain(req.Prefix, after), page)
		}
	}
	return b.byKey(ctx, req, after, page)
}

// byKey goes on by key, which any server should be able to do. Only when every key of an
// answer lies before req.Start (startAfter explains how that comes) does it follow the
// server's token, inside this one call.
func (b *bucket) byKey(ctx context.Context, req provider.ListRequest, after string, page *provider.Page) error {
	w := windowOf(req)
	w.after = after
	for token := ""; ; {
		out, err := b.page(ctx, w, req.MaxKeys, token, page)
		if err != nil {
			return err
		}
		if out.inclusive {
			b.ways.add(seen{inclusive: true})
		}
		next, more := w.following(out)
		switch {
		case !more:
			return nil
		case next > w.start:
			page.Next, page.More = next, true
			return nil
		case out.token == token:
			return &provider.Untrusted{Cause: errRepeated}
		}
		token = out.token
	}
}

func windowOf(req provider.ListRequest) window {
	return window{prefix: req.Prefix, start: req.Start, end: endOf(req.Prefix, req.End), delimiter: req.Delimiter}
}

// following is the first key that can follow an answer, and whether any does.
func (w window) following(out outcome) (next string, more bool) {
	if !out.truncated || out.ended {
		return "", false
	}
	next = out.next()
	return next, next != "" && (w.end == "" || next < w.end)
}

// page asks for one answer and reads it into page.
func (b *bucket) page(ctx context.Context, w window, maxKeys int, token string, page *provider.Page) (outcome, error) {
	if b.ways.seen().first {
		return b.firstVersion(ctx, w, maxKeys, token, page)
	}
	in := &s3.ListObjectsV2Input{
		Bucket:       &b.name,
		EncodingType: types.EncodingTypeUrl,
		Prefix:       optional(w.prefix),
		Delimiter:    optional(w.delimiter),
		MaxKeys:      most(maxKeys),
		StartAfter:   optional(w.after),
	}
	if token != "" {
		in.ContinuationToken, in.StartAfter = &token, nil
	}
	var out outcome
	reading := taking(&s3.ListObjectsV2Output{}, decoding(w, page, &out))
	err := b.regional(ctx, func(within func(*s3.Options)) error {
		_, err := b.account.client.ListObjectsV2(ctx, in, within, reading)
		return err
	})
	return out, err
}

// firstVersion asks as page does, by the first version of lists. Its marker is the later
// start-after; a token in its place is made up here.
func (b *bucket) firstVersion(ctx context.Context, w window, maxKeys int, token string, page *provider.Page) (outcome, error) {
	w.first = true
	in := &s3.ListObjectsInput{
		Bucket:       &b.name,
		EncodingType: types.EncodingTypeUrl,
		Prefix:       optional(w.prefix),
		Delimiter:    optional(w.delimiter),
		MaxKeys:      most(maxKeys),
		Marker:       optional(cmp.Or(token, w.after)),
	}
	var out outcome
	reading := taking(&s3.ListObjectsOutput{}, decoding(w, page, &out))
	err := b.regional(ctx, func(within func(*s3.Options)) error {
		_, err := b.account.client.ListObjects(ctx, in, within, reading)
		return err
	})
	if out.token = out.last; out.folded {
		out.token += lastCharacter // behind all that is folded
	}
	return out, err
}

// lastCharacter is greater than all others that keys have.
const lastCharacter = "\U0010fffd"

// decoding reads an answer into page and out.
func decoding(w window, page *provider.Page, out *outcome) func(body []byte) error {
	return func(body []byte) (err error) {
		if *out, err = decode(body, w, page); err != nil {
			err = &provider.Untrusted{Cause: err}
		}
		return err
	}
}

func most(maxKeys int) *int32 {
	if maxKeys <= 0 {
		return nil
	}
	return aws.Int32(int32(min(maxKeys, 1000)))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
