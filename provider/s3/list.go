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

// List fills page; see provider.Bucket.
func (b *bucket) List(ctx context.Context, req provider.ListRequest, page *provider.Page) error {
	if req.Range().IsEmpty() {
		page.Reset()
		return nil
	}
	if last, err := b.list(ctx, req, page); err != nil {
		return provider.ListFailed(b.failed(ctx, "list", err), req, last)
	}
	return nil
}

// ListSerial fills page by the server's own token; see provider.SerialLister.
func (b *bucket) ListSerial(ctx context.Context, prefix, token string, page *provider.Page) (next string, err error) {
	if b.account.flavor.exact {
		return "", errors.ErrUnsupported
	}
	out, err := b.page(ctx, window{prefix: prefix, loose: true}, 0, token, page)
	if err != nil {
		return "", provider.ListFailed(b.failed(ctx, "list", err), provider.ListRequest{}, out.last)
	}
	if !out.truncated {
		return "", nil
	}
	return out.token, nil
}

// list continues by key, which any server should be able to do. Only when every key of a
// page lies before req.Start (startAfter explains why) does it follow the server's token,
// within this one call. With an error, last is the last key that was listed.
func (b *bucket) list(ctx context.Context, req provider.ListRequest, page *provider.Page) (last string, err error) {
	w := windowOf(req)
	w.bare = !b.account.flavor.exact
	if strings.ContainsAny(w.after, decoded) {
		if exact, err := b.takesStartAsIs(ctx, req.Prefix); err != nil {
			return "", err
		} else if !exact {
			return "", &provider.Untrusted{Cause: provider.ErrStartMoved}
		}
	}
	for token := ""; ; {
		out, err := b.page(ctx, w, req.MaxKeys, token, page)
		if err != nil {
			return out.last, err
		}
		next, more := w.following(out)
		switch {
		case !more:
			return "", nil
		case next > w.start:
			page.Next, page.More = next, true
			return "", nil
		case out.token == token:
			return out.last, &provider.Untrusted{Cause: errRepeated}
		}
		token = out.token
	}
}

// page requests one page and reads it.
//
// A server that responds in version 1 is asked in version 1 from then on: Ceph before 14
// (Nautilus) and Huawei OBS know no other.
func (b *bucket) page(ctx context.Context, w window, maxKeys int, token string, page *provider.Page) (outcome, error) {
	if !b.firstVersion.Load() {
		out, err := b.secondPage(ctx, w, maxKeys, token, page)
		if !errors.Is(err, errVersion) {
			return out, err
		}
		b.firstVersion.Store(true)
	}
	return b.firstPage(ctx, w, maxKeys, token, page)
}

// secondPage requests a page by version 2 of lists.
func (b *bucket) secondPage(ctx context.Context, w window, maxKeys int, token string, page *provider.Page) (outcome, error) {
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
		_, err := b.account.client.ListObjectsV2(provider.WithResponseLimit(ctx, provider.MaxPage), in, within, reading)
		return err
	})
	return out, err
}

// firstPage requests a page by version 1 of lists. Its marker is the later start-after;
// it has no token, so one is made here.
func (b *bucket) firstPage(ctx context.Context, w window, maxKeys int, token string, page *provider.Page) (outcome, error) {
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
		_, err := b.account.client.ListObjects(provider.WithResponseLimit(ctx, provider.MaxPage), in, within, reading)
		return err
	})
	if out.token = out.last; out.folded {
		out.token += lastCharacter // after all that is folded
	}
	return out, err
}

// lastCharacter is greater than all others that keys have.
const lastCharacter = "\U0010fffd"

// decoding reads a response into page and out.
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
