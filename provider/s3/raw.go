package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxBody bounds one answer. A list of a thousand keys of 1,024 bytes, each byte written as
// three, with all that S3 tells of an object, stays below 4 MiB.
const maxBody = 16 << 20

// maxKept is the largest buffer that is used again: one rare page must not cost memory
// for good.
const maxKept = 2 << 20

var errTooLong = fmt.Errorf("the answer is longer than %d MiB", maxBody>>20)

// bodies are buffers for answers; a page of 1,000 usual keys needs 300 KiB.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 512<<10); return &b }}

// taking makes an option of a call with which the SDK sends the request as ever, with its
// endpoint rules, credentials and signature, but hands the answer's body to read
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

// takeOver puts our reading of good answers in the place of the SDK's. Answers with an
// error status are still left to the SDK.
func takeOver(stack *middleware.Stack, result any, read func([]byte) error) error {
	taken := &reader{result: result, read: read}
	theirs, err := stack.Deserialize.Swap("OperationDeserializer", taken)
	if err != nil {
		return err
	}
	taken.theirs = theirs
	// It looks for an error document under status 200 with a decoder of its own; our
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
	return out, metadata, r.consume(response)
}

func (r *reader) consume(response *smithyhttp.Response) error {
	buffer := bodies.Get().(*[]byte)
	body, err := readAll((*buffer)[:0], response.Body, response.ContentLength)
	if err == nil {
		err = r.read(body)
	}
	if cap(body) <= maxKept {
		*buffer = body
		bodies.Put(buffer)
	}
	return err
}

// readAll reads body to its end into buffer, which it may replace by a larger one.
func readAll(buffer []byte, body io.Reader, length int64) ([]byte, error) {
	if length > maxBody {
		return buffer, &corrupt{errTooLong}
	}
	if need := int(length) + 1; need > cap(buffer) {
		buffer = make([]byte, 0, need)
	}
	for {
		if len(buffer) == cap(buffer) {
			if len(buffer) > maxBody {
				return buffer, &corrupt{errTooLong}
			}
			buffer = append(buffer, 0)[:len(buffer)]
		}
		n, err := body.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch {
		case err == io.EOF:
			return buffer, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return buffer, &corrupt{errCutShort}
		case err != nil:
			return buffer, err
		}
	}
}

// given hands on an answer that was had before.
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
