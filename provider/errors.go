package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Kind is what a failure means to the caller.
type Kind uint8

const (
	// Internal is any failure without another kind.
	Internal Kind = iota
	// Credentials is returned when the provider does not know the access key, or the
	// signature is wrong.
	Credentials
	// Denied is returned when the credentials are valid but do not permit the call.
	Denied
	// NoBucket is returned when the bucket does not exist or is not visible.
	NoBucket
	// NotFound is returned when the object does not exist.
	NotFound
	// Exists is returned when the bucket to be created exists.
	Exists
	// Invalid is returned when the request is malformed (a bad bucket name, for example).
	Invalid
	// Throttled is returned when the provider asks to slow down. Retried after a longer
	// pause.
	Throttled
	// Unavailable is returned when the provider could not be reached or failed. Retried.
	Unavailable
	// Corrupt is returned when the response cannot be trusted. Retried, then fails loudly.
	Corrupt
	// Forbidden is returned when our own rules refuse the endpoint (see Egress).
	Forbidden
	// Changed is returned when the object is not the one that the condition names.
	Changed
	// Retained is returned when the object must not be deleted yet: it is under retention or
	// a hold.
	Retained
)

var kindNames = [...]string{
	"internal", "credentials", "denied", "no bucket", "not found", "exists",
	"invalid", "throttled", "unavailable", "corrupt", "forbidden", "changed", "retained",
}

// String returns the name of the kind in metrics and logs.
func (k Kind) String() string { return kindNames[k] }

// ParseKind returns the kind with a name, and whether there is one.
func ParseKind(name string) (Kind, bool) {
	i := slices.Index(kindNames[:], name)
	return Kind(max(i, 0)), i >= 0
}

// Temporary reports whether the same call may succeed later.
func (k Kind) Temporary() bool { return k == Throttled || k == Unavailable || k == Corrupt }

// Error is a failed call to a provider.
type Error struct {
	Kind Kind
	// Op is the call that failed: list, stat, put, delete, delete batch, buckets, create
	// bucket.
	Op     string
	Bucket string
	// Reason says what went wrong, safe to show to a person: in our own words, never with a
	// body, a header or a credential. It is empty where the fields below say all; Explain
	// has both.
	Reason string
	// Status is the HTTP status of a response that is an error, else 0.
	Status int
	// Code is the provider's own code of the error, where it is known.
	Code string
	// Call is the request in the provider's words: ListObjectsV2, objects.list.
	Call string
	// After is the last key that was listed without an error.
	After string
	// NoEffect is set when the call certainly did nothing and will do nothing, also where
	// the kind does not show it: it was never sent, or the provider refused it. See
	// MayStillAct.
	NoEffect bool
	// Err is the cause, for logs; it may be nil.
	Err error
}

func (e *Error) Error() string {
	on := e.Bucket
	if on != "" {
		on = " bucket " + on
	}
	return fmt.Sprintf("%s%s: %s: %s", e.Op, on, e.Kind, e.Explain())
}

// Explain returns what went wrong and where, for a person, such as
// HTTP 500 InternalError in ListObjectsV2 after "prod/5".
func (e *Error) Explain() string {
	var where []string
	if e.Status != 0 {
		where = append(where, fmt.Sprintf("HTTP %d", e.Status))
	}
	if e.Code != "" {
		where = append(where, e.Code)
	}
	if e.Call != "" {
		where = append(where, "in "+e.Call)
	}
	if e.After != "" {
		where = append(where, "after "+shortKey(e.After))
	}
	at := strings.Join(where, " ")
	switch {
	case at == "":
		return e.Reason
	case e.Reason == "":
		return at
	}
	return e.Reason + " (" + at + ")"
}

// maxShownKey is how many characters of a key are shown.
const maxShownKey = 60

// shortKey quotes a key, or the beginning of a long one.
func shortKey(key string) string {
	n := 0
	for i := range key {
		if n++; n > maxShownKey {
			key = key[:i] + "…"
			break
		}
	}
	return strconv.Quote(key)
}

// ListFailed adds to the error of a list the last key that was listed without an error: that
// of the page, or the one that the list was to go on after.
func ListFailed(err error, req ListRequest, last string) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Call != "" {
		e.After = cmp.Or(last, strings.TrimSuffix(req.Start, "\x00"))
	}
	return err
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err: Internal when it is no provider error.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Ended returns the error of a call that failed because ctx had ended, which wraps ctx's
// own; nil while ctx has not ended. Implementations call it before they classify a
// failure.
func Ended(ctx context.Context, op, bucket string) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	reason := "the call was canceled"
	if errors.Is(err, context.DeadlineExceeded) {
		reason = "the provider did not respond in time"
	}
	return &Error{Kind: Unavailable, Op: op, Bucket: bucket, Reason: reason, Err: err}
}

// unsent is Ended for a call of which nothing was sent.
func unsent(ctx context.Context, op string) error {
	err := Ended(ctx, op, "")
	if e, ok := errors.AsType[*Error](err); ok {
		e.NoEffect = true
	}
	return err
}

// ForEach returns the same error for each of n objects: a batch that failed as a whole.
func ForEach(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// TooMany refuses a batch of more than MaxDeletions; nil is none too many.
// Implementations ask it first.
func TooMany(n int, bucket string) []error {
	if n <= MaxDeletions {
		return nil
	}
	return ForEach(n, &Error{
		Kind: Invalid, Op: "delete batch", Bucket: bucket,
		Reason: fmt.Sprintf("%d objects are too many for one batch of at most %d", n, MaxDeletions),
	})
}
