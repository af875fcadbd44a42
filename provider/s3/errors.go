package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"firescan/provider"
)

// failed makes the error of the seam out of whatever went wrong. Nothing that the server
// wrote stays in it, not even in the cause: it may quote what we sent, and causes are
// logged.
func failed(ctx context.Context, op, bucket string, err error) error {
	if ended := provider.Ended(ctx, op, bucket); ended != nil {
		return ended
	}
	// The egress rules speak for themselves.
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return &provider.Error{Kind: e.Kind, Op: op, Bucket: bucket, Reason: e.Reason, Call: callOf(err), Err: e}
	}
	v := classify(err)
	if permission := callNames[op].permission; v.reason == notPermitted && permission != "" {
		v.reason = "the credentials do not have the permission " + permission
	}
	failure := &provider.Error{
		Kind: v.kind, Op: op, Bucket: bucket, Reason: v.reason, Code: codeOf(err), Call: callOf(err), NoEffect: throttles(err), Err: cause(err),
	}
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && e.HTTPStatusCode()/100 != 2 {
		failure.Status = e.HTTPStatusCode()
	}
	return failure
}

// callNames are Amazon's names of the calls of the seam and of the permissions that they
// require.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
var callNames = map[string]struct{ permission, call string }{
	"list": {"s3:ListBucket", "ListObjectsV2"}, "stat": {"s3:GetObject", "HeadObject"}, "put": {"s3:PutObject", "PutObject"},
	"delete": {"s3:DeleteObject", "DeleteObject"}, "delete batch": {"s3:DeleteObject", "DeleteObjects"},
	"buckets": {"s3:ListAllMyBuckets", "ListBuckets"}, "create bucket": {"s3:CreateBucket", "CreateBucket"},
}

// NameCall implements provider.CallNamer.
func (b *bucket) NameCall(op string) (permission, call string) {
	names := callNames[op]
	return names.permission, names.call
}

// callOf returns the name of the request that failed.
func callOf(err error) string {
	if e, ok := errors.AsType[*smithy.OperationError](err); ok {
		return e.Operation()
	}
	return ""
}

// codeOf returns the code of a failure, if it is known: a server may quote the request there.
func codeOf(err error) (code string) {
	if e, ok := errors.AsType[*serverError](err); ok {
		code = e.code
	} else if e, ok := errors.AsType[smithy.APIError](err); ok {
		code = e.ErrorCode()
	}
	if _, known := verdicts[code]; !known {
		return ""
	}
	return code
}

func (b *bucket) failed(ctx context.Context, op string, err error) error {
	return failed(ctx, op, b.name, err)
}

// isNotImplemented reports whether the server does not know a request.
func isNotImplemented(err error) bool {
	e, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && e.HTTPStatusCode() == http.StatusNotImplemented
}

// throttles reports whether an error is a refusal by the storage itself because of the rate
// of calls, and not by something in between that may have passed the request on.
func throttles(err error) bool {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && e.HTTPStatusCode() == http.StatusTooManyRequests {
		return true
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		code := e.ErrorCode()
		return code != "ServiceUnavailable" && verdicts[code].kind == provider.Throttled
	}
	return false
}

// cause is the part of an error that was made on this side.
func cause(err error) error {
	if e, ok := errors.AsType[*provider.Untrusted](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return fmt.Errorf("status %d", e.HTTPStatusCode())
	}
	return nil
}

func classify(err error) verdict {
	if e, ok := errors.AsType[*serverError](err); ok {
		if v, known := verdicts[e.code]; known {
			return v
		}
		return verdict{provider.Corrupt, "an error that is not known stands in place of the response"}
	}
	if e, ok := errors.AsType[*provider.Untrusted](err); ok {
		return verdict{provider.Corrupt, e.Error()}
	}
	if e, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return verdict{provider.Unavailable, provider.Unreached(e)}
	}
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return classifyStatus(e, err)
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		if v, known := verdicts[e.ErrorCode()]; known {
			return v
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return verdict{provider.Unavailable, provider.Unreached(err)}
	}
	return verdict{provider.Invalid, "the request cannot be made: check endpoint, region and bucket name"}
}

// classifyCode is for an error of one object, under status 200. locked is isLocked of its
// message.
func classifyCode(code string, locked bool) verdict {
	if locked {
		return verdicts["ObjectLocked"]
	}
	if v, known := verdicts[code]; known {
		return v
	}
	return verdict{provider.Internal, "the provider returned an unknown error"}
}

// classifyStatus is for responses with an error status.
func classifyStatus(response *smithyhttp.ResponseError, err error) verdict {
	status := response.HTTPStatusCode()
	if misplaced(err) {
		region, e := regionOf(err), smithy.APIError(nil)
		switch {
		case status == http.StatusTemporaryRedirect:
			return verdicts["TemporaryRedirect"]
		case region != "":
			return verdict{provider.Invalid, "the bucket is in another region: " + region}
		case redirects(status) && !(errors.As(err, &e) && e.ErrorCode() == "PermanentRedirect"):
			return verdict{provider.Invalid, redirected}
		}
		return verdicts["PermanentRedirect"]
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		if isLocked(e.ErrorMessage()) {
			return verdicts["ObjectLocked"]
		}
		if v, known := verdicts[e.ErrorCode()]; known {
			return v
		}
	}
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return verdict{provider.Throttled, ""}
	case status == http.StatusUnauthorized:
		return verdict{provider.Credentials, "the credentials are not valid"}
	case status == http.StatusForbidden:
		return verdict{provider.Denied, notPermitted}
	case status == http.StatusNotFound:
		return verdict{provider.NotFound, "the object or its bucket does not exist"}
	case status == http.StatusPreconditionFailed:
		return verdicts["PreconditionFailed"]
	case status == http.StatusNotImplemented:
		return verdict{provider.Invalid, ""}
	case status >= 500 || status == http.StatusRequestTimeout:
		return verdict{provider.Unavailable, ""}
	case status >= 400:
		return verdict{provider.Invalid, ""}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return verdict{provider.Unavailable, "the connection broke in the middle of a response"}
	}
	return verdict{provider.Corrupt, "the response cannot be understood"}
}

// isLocked reports whether the message of an error is about an object lock: Amazon reports
// those as AccessDenied ("... because object protected by object lock."), MinIO as
// InvalidRequest ("Object is WORM protected and cannot be overwritten").
func isLocked(message string) bool {
	return strings.Contains(message, "object protected by object lock") || strings.Contains(message, "is WORM protected")
}
