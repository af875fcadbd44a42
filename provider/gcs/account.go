package gcs

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"firescan/provider"
)

const (
	googleHost = "storage.googleapis.com"
	agent      = "firescan"
)

type account struct {
	client            *storage.Client
	clock             provider.Clock
	http              *http.Client // signs where that is needed
	root              string       // of the server
	base              string       // of the JSON API, with a slash behind it
	project, location string
	firebase          bool
	emulator          bool
}

type bucket struct {
	account *account
	name    string
	keeping keeping
}

// failed makes the error of the seam out of whatever went wrong.
func (a *account) failed(ctx context.Context, op, bucket string, err error) error {
	if ended := provider.Ended(ctx, op, bucket); ended != nil {
		return ended
	}
	// The egress rules and the signing in speak for themselves.
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return &provider.Error{Kind: e.Kind, Op: op, Bucket: bucket, Reason: e.Reason, Status: e.Status, Code: e.Code, Call: cmp.Or(e.Call, calls[op]), Err: e.Err}
	}
	if e, ok := errors.AsType[*googleapi.Error](err); ok {
		cause := &statusError{e.Code, word(firstReason(e))}
		v := classifyStatus(op, cause, missingBucket(e))
		if v.kind == provider.Denied && underHold(e) {
			v = verdicts["objectUnderActiveHold"]
		}
		if v.reason == notPermitted {
			v.reason = cmp.Or(lacking(permissions[op]), notPermitted)
		}
		if v.kind == provider.NoBucket && a.firebase {
			v.reason += "; the default bucket of a Firebase project is <project>.firebasestorage.app or, of older ones, <project>.appspot.com"
		}
		return &provider.Error{
			Kind: v.kind, Op: op, Bucket: bucket, Reason: v.reason, Status: cause.status, Code: cause.reason, Call: calls[op],
			NoEffect: e.Code == http.StatusTooManyRequests, Err: cause,
		}
	}
	v := classify(op, err)
	failure := &provider.Error{Kind: v.kind, Op: op, Bucket: bucket, Reason: v.reason, Call: calls[op], Err: err}
	if e, ok := errors.AsType[*inPlace](err); ok && e.status >= 400 {
		failure.Status, failure.Code = e.status, word(e.reason)
	}
	return failure
}

// lacking returns the reason of a call that requires a permission.
func lacking(permission string) string {
	if permission == "" {
		return ""
	}
	return "the credentials do not have the permission " + permission
}

func (b *bucket) failed(ctx context.Context, op string, err error) error {
	return b.account.failed(ctx, op, b.name, err)
}
