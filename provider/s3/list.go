package s3

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"firescan/provider"
)

var errRepeated = errors.New("the same token came twice")

// List fills page; see provider.Bucket.
//
// It always goes on by key. Only when every key of an answer lies before req.Start
// (startAfter explains how that comes) does it follow the server's token, inside this
// one call.
func (b *bucket) List(ctx context.Context, req provider.ListRequest, page *provider.Page) error {
	w := window{
		prefix: req.Prefix, start: req.Start, end: endOf(req.Prefix, req.End), delimiter: req.Delimiter,
		after: startAfter(req.Prefix, req.Start),
	}
	if w.end != "" && max(w.start, w.prefix) >= w.end {
		page.Reset()
		return nil
	}
	for token := ""; ; {
		out, err := b.page(ctx, w, req.MaxKeys, token, page)
		if err != nil {
			return b.failed(ctx, "list", err)
		}
		if !out.truncated || out.ended {
			return nil
		}
		next := provider.After(out.last)
		if out.folded {
			next = provider.PrefixEnd(out.last)
		}
		switch {
		case next == "" || w.end != "" && next >= w.end:
			return nil
		case next > w.start:
			page.Next, page.More = next, true
			return nil
		case out.token == token:
			return b.failed(ctx, "list", &corrupt{errRepeated})
		}
		token = out.token
	}
}

// page asks for one answer and reads it into page.
func (b *bucket) page(ctx context.Context, w window, maxKeys int, token string, page *provider.Page) (outcome, error) {
	in := &s3.ListObjectsV2Input{
		Bucket:       &b.name,
		EncodingType: types.EncodingTypeUrl,
		Prefix:       optional(w.prefix),
		Delimiter:    optional(w.delimiter),
		StartAfter:   optional(w.after),
	}
	if maxKeys > 0 {
		in.MaxKeys = aws.Int32(int32(min(maxKeys, 1000)))
	}
	if token != "" {
		in.ContinuationToken, in.StartAfter = &token, nil
	}
	var out outcome
	reading := taking(&s3.ListObjectsV2Output{}, func(body []byte) (err error) {
		if out, err = decode(body, w, page); err != nil {
			err = &corrupt{err}
		}
		return err
	})
	err := b.regional(ctx, func(within func(*s3.Options)) error {
		_, err := b.account.client.ListObjectsV2(ctx, in, within, reading)
		return err
	})
	return out, err
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
