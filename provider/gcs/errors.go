package gcs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"google.golang.org/api/googleapi"

	"firescan/provider"
)

// Calls, as provider.Error names them.
const (
	opList    = "list"
	opStat    = "stat"
	opPut     = "put"
	opDelete  = "delete"
	opBatch   = "delete batch"
	opTest    = "permissions"
	opBuckets = "buckets"
	opCreate  = "create bucket"
)

// calls are the methods of the JSON API that calls make.
// https://cloud.google.com/storage/docs/json_api/v1
var calls = map[string]string{
	opList: "objects.list", opStat: "objects.get", opPut: "objects.insert", opDelete: "objects.delete", opBatch: "objects.delete",
	opTest: "buckets.testIamPermissions", opBuckets: "buckets.list", opCreate: "buckets.insert",
}

// permissions are those that calls require.
// https://cloud.google.com/storage/docs/access-control/iam-json
var permissions = map[string]string{
	opList: "storage.objects.list", opStat: "storage.objects.get", opPut: "storage.objects.create", opDelete: "storage.objects.delete",
}

// statusError is what is kept of a response with an error status. The library's own error
// keeps the whole answer, which may quote the request.
type statusError struct {
	status int
	reason string // one word, or none
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", e.status, e.reason))
}

var errStray = errors.New("a token of Google's is for Google alone")

// What can be wrong with a page. People read the texts, which quote nothing of the
// server.
var (
	errEmpty        = errors.New("the response is empty")
	errNotAPage     = errors.New("the response is no list of objects")
	errOutside      = errors.New("a name lies outside of what was asked for")
	errTwice        = errors.New("a field stands twice")
	errTrailing     = errors.New("something follows the end of the response")
	errNoBucketName = errors.New("a bucket has no valid name")
	errNoName       = errors.New("an object has no name")
	errNoSize       = errors.New("an object has no size")
	errNoTag        = errors.New("an object has no generation")
	errUnfolded     = errors.New("a folded prefix was not asked for")
	errBadFolded    = errors.New("a folded prefix does not end in the delimiter")
)

// inPlace is an error document under status 200.
type inPlace struct {
	status int
	reason string
}

func (*inPlace) Error() string { return "the response is an error" }

type verdict struct {
	kind   provider.Kind
	reason string
}

const notPermitted = "the credentials do not permit this"

const slowDown = "the provider asks to slow down"

// verdicts are what the reasons of Cloud Storage mean. The texts are our own words: a
// server's message may quote the request. The other reasons mean what their status does.
// https://cloud.google.com/storage/docs/json_api/v1/status-codes
var verdicts = map[string]verdict{
	"rateLimitExceeded":     {provider.Throttled, slowDown},
	"userRateLimitExceeded": {provider.Throttled, slowDown},
	"quotaExceeded":         {provider.Throttled, "the project's quota is used up"},
	"usageLimits":           {provider.Throttled, slowDown},
	"dailyLimitExceeded":    {provider.Throttled, "the project's quota of the day is used up"},

	"accessNotConfigured":       {provider.Denied, "Cloud Storage is not switched on in the project"},
	"SERVICE_DISABLED":          {provider.Denied, "Cloud Storage is not switched on in the project"},
	"accountDisabled":           {provider.Denied, "the project's account is disabled"},
	"insufficientPermissions":   {provider.Denied, notPermitted},
	"retentionPolicyNotMet":     {provider.Retained, "the bucket's retention policy forbids it still"},
	"objectUnderActiveHold":     {provider.Retained, "the object is under a hold"},
	"orgPolicyConstraintFailed": {provider.Denied, "a policy of the Google organization forbids it"},

	"conditionNotMet":    {provider.Changed, "the object has changed"},
	"userProjectMissing": {provider.Invalid, "the bucket lets the requester pay, which firescan cannot"},
}

func classify(op string, err error) verdict {
	if e, ok := errors.AsType[*inPlace](err); ok {
		if e.status >= 400 {
			return classifyStatus(op, &statusError{e.status, word(e.reason)}, false)
		}
		return verdict{provider.Corrupt, "an error in place of a response"}
	}
	if e, ok := errors.AsType[*provider.Untrusted](err); ok {
		return verdict{provider.Corrupt, e.Error()}
	}
	if errors.Is(err, errStray) {
		return verdict{provider.Forbidden, "a request was about to leave Google with the account's token"}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return verdict{provider.Corrupt, provider.ErrCutShort.Error()}
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, syscall.ECONNRESET) {
		return verdict{provider.Unavailable, provider.Unreached(err)}
	}
	if errors.Is(err, io.EOF) {
		return verdict{provider.Corrupt, errEmpty.Error()}
	}
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, typ := errors.AsType[*json.UnmarshalTypeError](err)
	if syntax || typ {
		return verdict{provider.Corrupt, "the response cannot be understood"}
	}
	return verdict{provider.Internal, "the request could not be made"}
}

// classifyStatus is for responses with an error status.
func classifyStatus(op string, e *statusError, missingBucket bool) verdict {
	if v, known := verdicts[e.reason]; known {
		return v
	}
	switch status := e.status; {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return verdict{provider.Throttled, slowDown}
	case status == http.StatusUnauthorized:
		return verdict{provider.Credentials, "the credentials are not valid"}
	case status == http.StatusForbidden:
		return verdict{provider.Denied, notPermitted}
	case status == http.StatusNotFound && (op == opStat || op == opDelete || op == opBatch) && !missingBucket:
		return verdict{provider.NotFound, "the object does not exist"}
	case status == http.StatusNotFound && op == opBuckets:
		return verdict{provider.Invalid, "the project does not exist"}
	case status == http.StatusNotFound:
		return verdict{provider.NoBucket, "the bucket does not exist"}
	case status == http.StatusConflict && op == opCreate:
		return verdict{provider.Exists, "the bucket name is taken"}
	case status == http.StatusPreconditionFailed:
		return verdict{provider.Changed, "the object has changed"}
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusConflict:
		return verdict{provider.Unavailable, ""}
	case status >= 400:
		return verdict{provider.Invalid, ""}
	case status >= 300:
		return verdict{provider.Invalid, "the endpoint redirects elsewhere, which is not followed"}
	}
	return verdict{provider.Corrupt, "the response cannot be understood"}
}

func firstReason(e *googleapi.Error) string {
	if len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Reason
}

// missingBucket reports whether the bucket is missing. Only the message shows it.
func missingBucket(e *googleapi.Error) bool {
	return strings.HasPrefix(e.Message, "The specified bucket does not exist")
}

// underHold reports whether an object is refused because of a hold. The documented reason
// is objectUnderActiveHold, but the one in use is that of a missing permission, and only the
// message shows it ("Object '...' is under active Temporary hold and cannot be deleted, ...").
// https://cloud.google.com/storage/docs/object-holds
func underHold(e *googleapi.Error) bool {
	return strings.Contains(e.Message, "is under active Temporary hold") || strings.Contains(e.Message, "is under active Event-Based hold")
}

// word keeps a reason of the server only when it is one word.
func word(s string) string {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '_'
	}) {
		return ""
	}
	return s
}

// unfit returns the error of credentials that are refused.
func unfit(why string) error {
	return &provider.Error{Kind: provider.Credentials, Op: "connect", Reason: why}
}
