package s3

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"firescan/provider"
)

type bucket struct {
	account *account
	name    string

	firstVersion atomic.Bool // the server knows only version 1 of lists
	start        startCheck
}

var _ provider.SerialLister = (*bucket)(nil)

func (b *bucket) Stat(ctx context.Context, key string) (provider.Info, error) {
	var out *s3.HeadObjectOutput
	err := b.regional(ctx, func(in func(*s3.Options)) (err error) {
		out, err = b.account.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key}, in)
		return err
	})
	if err != nil {
		return provider.Info{}, b.failed(ctx, "stat", err)
	}
	return provider.Info{
		Key: key, Size: aws.ToInt64(out.ContentLength), ModTime: aws.ToTime(out.LastModified),
		Tag: strings.Trim(aws.ToString(out.ETag), `"`),
	}, nil
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

func (b *bucket) regional(ctx context.Context, call func(in func(*s3.Options)) error) error {
	return b.account.regional(ctx, b.name, call)
}

func (b *bucket) failed(ctx context.Context, op string, err error) error {
	return failed(ctx, op, b.name, err)
}
