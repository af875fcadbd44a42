package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"firescan/provider"
)

type account struct {
	client  *s3.Client
	clock   *provider.Clock
	flavor  *Flavor
	region  string
	regions regions
}

type bucket struct {
	account *account
	name    string

	firstVersion atomic.Bool // the server knows only version 1 of lists
	start        startCheck
}

// startCheck is what is known of how a server takes start-after with such characters.
type startCheck struct{ atomic.Int32 }

var (
	errIsBucket  = errors.New("endpoint is the address of a bucket rather than of the server: leave the bucket out of it")
	errNoBuckets = errors.New("the response is no list of buckets")
)

// ofBuckets has a call refuse responses that are no list of buckets: the SDK's decoder takes
// any root element, and finds none in it.
func ofBuckets(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("OfBuckets",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			response, ok := out.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok || response.StatusCode/100 != 2 {
				return out, metadata, err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				return out, metadata, err
			}
			response.Body = io.NopCloser(bytes.NewReader(body))
			s := scanner{b: body}
			if err := s.prolog(); err != nil {
				return out, metadata, &provider.Untrusted{Cause: err}
			}
			switch root, _, err := s.open(); {
			case err == nil && string(root) == "ListAllMyBucketsResult", err == nil && string(root) == "Error":
				return out, metadata, nil
			case err == nil && string(root) == "ListBucketResult":
				return out, metadata, &provider.Error{Kind: provider.Forbidden, Op: "buckets", Reason: errIsBucket.Error()}
			}
			return out, metadata, &provider.Untrusted{Cause: errNoBuckets}
		}), middleware.After)
}

// regions remember in which region a bucket was found, when it is not the account's. The
// empty name is for the account as a whole. The zero value is ready.
type regions struct {
	mu     sync.RWMutex
	byName map[string]string
}
