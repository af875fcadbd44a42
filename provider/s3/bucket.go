package s3

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"firescan/provider"
)

var _ provider.SerialLister = (*bucket)(nil)

func (b *bucket) Stat(ctx context.Context, key string) (provider.Info, error) {
	var out *s3.HeadObjectOutput
	err := b.regional(ctx, func(in func(*s3.Options)) (err error) {
		out, err = b.account.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key}, in)
		return err
	})
	if err != nil {
		return provider.Info{}, b.lookedInVain(ctx, key, b.failed(ctx, "stat", err))
	}
	return provider.Info{
		Key: key, Size: aws.ToInt64(out.ContentLength), ModTime: aws.ToTime(out.LastModified),
		Tag: strings.Trim(aws.ToString(out.ETag), `"`),
	}, nil
}

// lookedInVain returns the error of a lookup. The response has no document, so one with status
// 403, or 400 for an expired session token, may be about wrong credentials, which the response
// to a list shows.
func (b *bucket) lookedInVain(ctx context.Context, key string, err error) error {
	if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.Denied && e.Status != http.StatusBadRequest {
		return err
	}
	_, listErr := b.page(ctx, window{prefix: key, loose: true}, 1, "", &provider.Page{})
	if failure := b.failed(ctx, "stat", listErr); listErr != nil && provider.KindOf(failure) == provider.Credentials {
		return failure
	}
	return err
}

func (b *bucket) Put(ctx context.Context, key string, body []byte) error {
	err := b.regional(ctx, func(in func(*s3.Options)) error {
		_, err := b.account.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: bytes.NewReader(body)}, in)
		return err
	})
	if err != nil {
		return b.failed(ctx, "put", err)
	}
	return nil
}
