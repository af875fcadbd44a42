package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// RemoveVersions implements provider.VersionRemover. It reads one page of versions, which
// is enough for objects that were written a few times. A server without versions may not
// know the request (rclone serve s3 before 1.74, other servers on gofakes3).
func (b *bucket) RemoveVersions(ctx context.Context, key string) error {
	const op = "delete versions"
	var out *s3.ListObjectVersionsOutput
	if err := b.regional(ctx, func(in func(*s3.Options)) (err error) {
		out, err = b.account.client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &b.name, Prefix: &key}, in)
		return err
	}); isNotImplemented(err) {
		return nil
	} else if err != nil {
		return b.failed(ctx, op, err)
	}
	var ids []*string
	for _, v := range out.Versions {
		if aws.ToString(v.Key) == key {
			ids = append(ids, v.VersionId)
		}
	}
	for _, m := range out.DeleteMarkers {
		if aws.ToString(m.Key) == key {
			ids = append(ids, m.VersionId)
		}
	}
	for _, id := range ids {
		if aws.ToString(id) == "" {
			continue // without a version it would be another delete
		}
		if err := b.regional(ctx, func(in func(*s3.Options)) error {
			_, err := b.account.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key, VersionId: id}, in)
			return err
		}); err != nil {
			return b.failed(ctx, op, err)
		}
	}
	return nil
}
