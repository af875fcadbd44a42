package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"firescan/provider"
)

// corrupt marks an answer that cannot be trusted. Its text is ours, not the server's.
type corrupt struct{ cause error }

func (c *corrupt) Error() string { return c.cause.Error() }
func (c *corrupt) Unwrap() error { return c.cause }

type verdict struct {
	kind   provider.Kind
	reason string
}

const skewed = "the clock of this machine differs too much from the provider's: set it right"

// verdicts are what the error codes of S3 and of compatible servers mean. The reasons are
// our own words: a server's message may quote the request.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
var verdicts = map[string]verdict{
	"InvalidAccessKeyId":    {provider.Credentials, "the access key id is not known to the provider"},
	"XAdminUserNotFound":    {provider.Credentials, "the access key id is not known to the provider"},
	"SignatureDoesNotMatch": {provider.Credentials, "the secret access key does not belong to the access key id"},
	"InvalidToken":          {provider.Credentials, "the credentials are not valid"},
	"ExpiredToken":          {provider.Credentials, "the credentials have expired"},
	"NotSignedUp":           {provider.Credentials, "the account is not signed up for the service"},
	"RequestTimeTooSkewed":  {provider.Credentials, skewed},
	"RequestExpired":        {provider.Credentials, skewed},

	"AccessDenied":      {provider.Denied, "the credentials do not permit this"},
	"Forbidden":         {provider.Denied, "the credentials do not permit this"},
	"AllAccessDisabled": {provider.Denied, "the provider has disabled access to this bucket"},
	"AccountProblem":    {provider.Denied, "the provider reports a problem with the account"},

	"NoSuchBucket": {provider.NoBucket, "the bucket does not exist"},
	"NoSuchKey":    {provider.NotFound, "the object does not exist"},
	"NotFound":     {provider.NotFound, "the object or its bucket does not exist"},

	"PreconditionFailed": {provider.Changed, "the object is not the one that was meant"},

	"BucketAlreadyExists":     {provider.Exists, "the bucket name is taken"},
	"BucketAlreadyOwnedByYou": {provider.Exists, "the account has this bucket already"},

	"InvalidBucketName":                  {provider.Invalid, "the bucket name is not valid"},
	"KeyTooLongError":                    {provider.Invalid, "the key is too long"},
	"InvalidLocationConstraint":          {provider.Invalid, "the region is not known to the provider"},
	"IllegalLocationConstraintException": {provider.Invalid, "the region does not fit the endpoint"},
	"AuthorizationHeaderMalformed":       {provider.Invalid, "the region does not fit the bucket"},
	"TooManyBuckets":                     {provider.Invalid, "the account may have no more buckets"},

	"SlowDown":             {provider.Throttled, "the provider asks to slow down"},
	"ServiceUnavailable":   {provider.Throttled, "the provider is overloaded"},
	"Throttling":           {provider.Throttled, "the provider asks to slow down"},
	"ThrottlingException":  {provider.Throttled, "the provider asks to slow down"},
	"RequestThrottled":     {provider.Throttled, "the provider asks to slow down"},
	"RequestLimitExceeded": {provider.Throttled, "the provider asks to slow down"},
	"TooManyRequests":      {provider.Throttled, "the provider asks to slow down"},

	"InternalError":              {provider.Unavailable, "the provider failed"},
	"RequestTimeout":             {provider.Unavailable, "the provider waited too long for the request"},
	"OperationAborted":           {provider.Unavailable, "another operation on the bucket is under way"},
	"XMinioServerNotInitialized": {provider.Unavailable, "the server is starting"},
}

// failed makes the error of the seam out of whatever went wrong.
func failed(ctx context.Context, op, bucket string, err error) error {
	if ended := provider.Ended(ctx, op, bucket); ended != nil {
		return ended
	}
	// The egress rules speak for themselves.
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return &provider.Error{Kind: e.Kind, Op: op, Bucket: bucket, Reason: e.Reason, Err: err}
	}
	v := judge(err)
	return &provider.Error{Kind: v.kind, Op: op, Bucket: bucket, Reason: v.reason, Err: err}
}

func judge(err error) verdict {
	if e, ok := errors.AsType[*serverError](err); ok {
		if v, known := verdicts[e.code]; known {
			return v
		}
		return verdict{provider.Corrupt, "an error in place of a list: " + word(e.code)}
	}
	if e, ok := errors.AsType[*corrupt](err); ok {
		return verdict{provider.Corrupt, e.Error()}
	}
	if e, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return verdict{provider.Unavailable, connection(e)}
	}
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return judgeStatus(e, err)
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		if v, known := verdicts[e.ErrorCode()]; known {
			return v
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return verdict{provider.Unavailable, connection(err)}
	}
	return verdict{provider.Invalid, "the request cannot be made: check endpoint, region and bucket name"}
}

// judgeCode is for an error that the provider tells of one object, under status 200.
func judgeCode(code string) verdict {
	if v, known := verdicts[code]; known {
		return v
	}
	return verdict{provider.Internal, "the provider answered an error: " + word(code)}
}

// judgeStatus is for answers with an error status.
func judgeStatus(response *smithyhttp.ResponseError, err error) verdict {
	status := response.HTTPStatusCode()
	if status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect {
		reason := "the bucket is in another region"
		if region := word(response.Response.Header.Get("X-Amz-Bucket-Region")); region != "" {
			reason += ": " + region
		}
		return verdict{provider.Invalid, reason}
	}
	code := ""
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		code = e.ErrorCode()
		if v, known := verdicts[code]; known {
			return v
		}
	}
	says := fmt.Sprintf("the provider answered status %d", status)
	if code = word(code); code != "" && code != "UnknownError" {
		says += " (" + code + ")"
	}
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return verdict{provider.Throttled, says}
	case status == http.StatusUnauthorized:
		return verdict{provider.Credentials, says}
	case status == http.StatusForbidden:
		return verdict{provider.Denied, says}
	case status == http.StatusNotFound:
		return verdict{provider.NotFound, says}
	case status == http.StatusPreconditionFailed:
		return verdicts["PreconditionFailed"]
	case status == http.StatusNotImplemented:
		return verdict{provider.Invalid, says}
	case status >= 500 || status == http.StatusRequestTimeout:
		return verdict{provider.Unavailable, says}
	case status >= 400:
		return verdict{provider.Invalid, says}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return verdict{provider.Unavailable, "the connection broke in the middle of an answer"}
	}
	return verdict{provider.Corrupt, "the answer cannot be understood"}
}

// connection says why no answer came.
func connection(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the host name cannot be resolved"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the provider's TLS certificate is not trusted"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the provider does not speak TLS at this port"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "the provider did not answer in time"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "the connection was refused"
	}
	return "the connection failed"
}

// word keeps a code or region name of the server only when it is nothing else.
func word(s string) string {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}) {
		return ""
	}
	return s
}
