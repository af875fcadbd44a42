package s3

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"firescan/provider"
)

// Delete removes an object; see provider.Bucket. The condition is an If-Match header.
func (b *bucket) Delete(ctx context.Context, key, tag string) error {
	return b.remove(ctx, "delete", provider.Deletion{Key: key, Tag: tag})
}

func (b *bucket) remove(ctx context.Context, op string, d provider.Deletion) error {
	sending, trace := provider.TraceSend(ctx)
	var out *s3.DeleteObjectOutput
	err := b.regional(sending, func(in func(*s3.Options)) (err error) {
		out, err = b.account.client.DeleteObject(sending, &s3.DeleteObjectInput{Bucket: &b.name, Key: &d.Key, IfMatch: quoted(d.Tag)}, in)
		return err
	})
	if err == nil {
		// x-amz-delete-marker: only a marker was made.
		if aws.ToBool(out.DeleteMarker) {
			provider.NoteVersioned(ctx, d.Key)
		}
		return nil
	}
	// Amazon reports a key that does not exist as deleted, unless there is a condition;
	// others always report it as missing.
	if err = trace.Mark(b.failed(ctx, op, err)); provider.KindOf(err) == provider.NotFound {
		return nil
	}
	return err
}

// DeleteBatch removes objects with one request; see provider.Bucket. Keys that XML cannot
// hold take a request each: the SDK would write U+FFFD in their place, which is the
// key of another object.
func (b *bucket) DeleteBatch(ctx context.Context, objects []provider.Deletion) []error {
	if errs := provider.TooMany(len(objects), b.name); errs != nil {
		return errs
	}
	const op = "delete batch"
	errs := make([]error, len(objects))
	var batch []types.ObjectIdentifier
	for i, o := range objects {
		if writable(o.Key) {
			batch = append(batch, types.ObjectIdentifier{Key: &o.Key, ETag: quoted(o.Tag)})
		} else {
			errs[i] = b.remove(ctx, op, o)
		}
	}
	if len(batch) == 0 {
		return errs
	}
	sending, trace := provider.TraceSend(ctx)
	results, err := b.deleteObjects(sending, batch)
	if err != nil {
		err = trace.Mark(b.failed(ctx, op, err))
	}
	for i, o := range objects {
		switch r, known := results[o.Key]; {
		case !writable(o.Key):
		case err != nil:
			errs[i] = err
		case !known:
			errs[i] = b.failed(ctx, op, &provider.Untrusted{Cause: errMissed})
		case r.marker:
			provider.NoteVersioned(ctx, o.Key)
		case r.code != "":
			if v := classifyCode(r.code, r.locked); v.kind != provider.NotFound {
				// The server has dealt with the object, unless it failed itself, as an unknown code
				// may mean, too.
				refused := v.kind != provider.Unavailable && v.kind != provider.Internal
				errs[i] = &provider.Error{Kind: v.kind, Op: op, Bucket: b.name, Reason: v.reason, NoEffect: refused}
			}
		}
	}
	return errs
}

func (b *bucket) deleteObjects(ctx context.Context, batch []types.ObjectIdentifier) (results deleted, err error) {
	in := &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: batch}}
	reading := taking(&s3.DeleteObjectsOutput{}, func(body []byte) (err error) {
		if results, err = decodeDeleted(body); err != nil {
			err = &provider.Untrusted{Cause: err}
		}
		return err
	})
	err = b.regional(ctx, func(within func(*s3.Options)) error {
		_, err := b.account.client.DeleteObjects(provider.WithResponseLimit(ctx, provider.MaxPage), in, within, adding(withMD5), reading)
		return err
	})
	return results, err
}

// withMD5 sends the checksum that every server knows in the place of the newer ones,
// which some refuse. One is required.
func withMD5(stack *middleware.Stack) error {
	if _, err := stack.Initialize.Remove("AWSChecksum:SetupInputContext"); err != nil {
		return err
	}
	return smithyhttp.AddContentChecksumMiddleware(stack)
}

// writable reports whether XML can hold a key so that every server reads it as it is.
// Carriage returns, line feeds and tabs could be written, but some servers alter them.
func writable(key string) bool {
	return utf8.ValidString(key) && !strings.ContainsFunc(key, func(r rune) bool {
		return r < ' ' || r == 0xFFFE || r == 0xFFFF
	})
}

// quoted is a tag as S3 writes it; nil is no condition.
func quoted(tag string) *string {
	if tag == "" {
		return nil
	}
	tag = `"` + tag + `"`
	return &tag
}
