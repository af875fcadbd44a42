package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"firescan/provider"
)

// Delete removes an object; see provider.Bucket. The condition is an If-Match header.
func (b *bucket) Delete(ctx context.Context, key, tag string) error {
	_, err := b.account.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key, IfMatch: quoted(tag)})
	if err == nil {
		return nil
	}
	// Amazon answers a key that does not exist as deleted, unless there is a condition;
	// others say always that it is missing.
	if err = b.failed(ctx, "delete", err); provider.KindOf(err) == provider.NotFound {
		return nil
	}
	return err
}

// DeleteBatch removes objects with one request; see provider.Bucket.
func (b *bucket) DeleteBatch(ctx context.Context, objects []provider.Deletion) []error {
	if errs := provider.TooMany(len(objects), b.name); errs != nil || len(objects) == 0 {
		return errs
	}
	ids := make([]types.ObjectIdentifier, len(objects))
	for i, o := range objects {
		ids[i] = types.ObjectIdentifier{Key: &o.Key, ETag: quoted(o.Tag)}
	}
	out, err := b.account.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: ids}})
	if err != nil {
		return provider.ForEach(len(objects), b.failed(ctx, "delete batch", err))
	}
	return b.outcomes(objects, out)
}

// outcomes tells for each object what the answer says of it.
func (b *bucket) outcomes(objects []provider.Deletion, out *s3.DeleteObjectsOutput) []error {
	told := make(map[string]error, len(objects))
	for _, d := range out.Deleted {
		told[*d.Key] = nil
	}
	for _, e := range out.Errors {
		v := judgeCode(*e.Code)
		told[*e.Key] = nil
		if v.kind != provider.NotFound {
			told[*e.Key] = &provider.Error{Kind: v.kind, Op: "delete batch", Bucket: b.name, Reason: v.reason}
		}
	}
	errs := make([]error, len(objects))
	for i, o := range objects {
		err, ok := told[o.Key]
		if !ok {
			err = &provider.Error{Kind: provider.Corrupt, Op: "delete batch", Bucket: b.name, Reason: "the answer tells nothing of the object"}
		}
		errs[i] = err
	}
	return errs
}

// quoted is a tag as S3 writes it; nil is no condition.
func quoted(tag string) *string {
	if tag == "" {
		return nil
	}
	tag = `"` + tag + `"`
	return &tag
}
