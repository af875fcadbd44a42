package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

func (r *regions) of(bucket string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if region := r.byName[bucket]; region != "" {
		return region
	}
	return r.byName[""]
}

func (r *regions) remember(bucket, region string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]string{}
	}
	r.byName[bucket] = region
}

// regional makes a call in the region of a bucket, or of the account when bucket is
// empty. When the response is that it is another region, the call is made once more
// there. Only the region's name is taken from the response, never an address: the SDK's
// endpoint rules make one of it, which the rules of egress check as any other.
func (a *account) regional(ctx context.Context, bucket string, call func(in func(*s3.Options)) error) error {
	region := a.regions.of(bucket)
	err := call(within(region))
	if err == nil || !a.flavor.finds {
		return err
	}
	if region == "" {
		region = a.region
	}
	found := a.otherRegion(ctx, bucket, region, err)
	if found == "" {
		return err
	}
	a.regions.remember(bucket, found)
	return call(within(found))
}

func (b *bucket) regional(ctx context.Context, call func(in func(*s3.Options)) error) error {
	return b.account.regional(ctx, b.name, call)
}

func within(region string) func(*s3.Options) {
	return func(o *s3.Options) {
		if region != "" {
			o.Region = region
		}
	}
}

// otherRegion returns the region that the bucket is in, when err says that it is another
// one than was asked in; empty otherwise.
func (a *account) otherRegion(ctx context.Context, bucket, asked string, err error) string {
	if region := regionOf(err); region != "" {
		if region == asked {
			return ""
		}
		return region
	}
	if !misplaced(err) || bucket == "" {
		return ""
	}
	// The response to this one names the region whether it is permitted or not.
	out, err := a.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	region := regionOf(err)
	if err == nil && aRegion.MatchString(aws.ToString(out.BucketRegion)) {
		region = *out.BucketRegion
	}
	if region == asked {
		return ""
	}
	return region
}

const regionHeader = "X-Amz-Bucket-Region"

// regionOf is the region that an error answer names.
func regionOf(err error) string {
	e, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || e.Response == nil {
		return ""
	}
	if region := e.Response.Header.Get(regionHeader); aRegion.MatchString(region) {
		return region
	}
	return ""
}

// misplaced reports whether an error says that the region is wrong.
func misplaced(err error) bool {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && redirects(e.HTTPStatusCode()) {
		return true
	}
	e, ok := errors.AsType[smithy.APIError](err)
	return ok && (e.ErrorCode() == "AuthorizationHeaderMalformed" || e.ErrorCode() == "PermanentRedirect")
}

func redirects(status int) bool {
	return status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect
}

// maxErrorBody bounds an error document.
const maxErrorBody = 64 << 10

// hearRegion has the SDK's calls put the region that an error document names into the
// response's header, where Amazon puts it too, but not with every error.
func hearRegion(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("HearRegion",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			response, ok := out.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok || response.StatusCode != http.StatusBadRequest && !redirects(response.StatusCode) ||
				response.Header.Get(regionHeader) != "" {
				return out, metadata, err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
			if err != nil {
				return out, metadata, err
			}
			if region := regionIn(bytes.Clone(body)); region != "" {
				response.Header.Set(regionHeader, region)
			}
			response.Body = io.NopCloser(bytes.NewReader(body))
			return out, metadata, nil
		}), middleware.After)
}

// regionIn is the region in an error document; empty if nothing.
func regionIn(body []byte) string {
	s := scanner{b: body}
	if s.prolog() != nil {
		return ""
	}
	root, closed, err := s.open()
	if err != nil || closed || string(root) != "Error" {
		return ""
	}
	for {
		more, err := s.more(root)
		if err != nil || !more {
			return ""
		}
		name, closed, err := s.open()
		switch {
		case err != nil:
			return ""
		case closed:
			continue
		case string(name) != "Region":
			if s.skip(name, 0) != nil {
				return ""
			}
			continue
		}
		raw, _, err := s.text(name)
		if err != nil || !aRegion.Match(raw) {
			return ""
		}
		return string(raw)
	}
}
