package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"firescan/provider"
)

// bodies are buffers for responses; a page of 1,000 usual keys needs 300 KiB.
var bodies = provider.NewBodies(512 << 10)

// taking makes an option of a call with which the SDK sends the request as ever, with its
// endpoint rules, credentials and signature, but hands the response's body to read
// instead of decoding it: its XML decoder takes twenty times as long, and lets pass what
// we refuse. The body is only lent. result is the empty output of the call.
func taking(result any, read func(body []byte) error) func(*s3.Options) {
	return adding(func(stack *middleware.Stack) error { return takeOver(stack, result, read) })
}

// adding makes an option that changes a call's middleware.
func adding(change func(*middleware.Stack) error) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], change)
	}
}

// takeOver puts our reading of good responses in the place of the SDK's. Responses with
// an error status are still left to the SDK.
func takeOver(stack *middleware.Stack, result any, read func([]byte) error) error {
	taken := &reader{result: result, read: read}
	theirs, err := stack.Deserialize.Swap("OperationDeserializer", taken)
	if err != nil {
		return err
	}
	taken.theirs = theirs
	// It looks for an error document under status 200 with a separate decoder; our
	// reading finds one anyhow.
	_, err = stack.Deserialize.Remove("S3:ProcessResponseFor200Error")
	return err
}

type reader struct {
	theirs middleware.DeserializeMiddleware
	result any
	read   func([]byte) error
}

func (*reader) ID() string { return "OperationDeserializer" }

func (r *reader) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	response, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || response.StatusCode/100 != 2 {
		return r.theirs.HandleDeserialize(ctx, in, given{out, metadata, err})
	}
	out.Result = r.result
	defer response.Body.Close()
	return out, metadata, bodies.Lend(response.Body, response.ContentLength, r.read)
}

// given hands on a response that was had before.
type given struct {
	out      middleware.DeserializeOutput
	metadata middleware.Metadata
	err      error
}

func (g given) HandleDeserialize(context.Context, middleware.DeserializeInput) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	return g.out, g.metadata, g.err
}
