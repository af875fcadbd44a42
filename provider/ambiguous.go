package provider

import (
	"context"
	"errors"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// MaxHold is the longest time for which a request without a response may still act after
// it was sent. S3 refuses a request whose signature is older than 15 minutes
// (RequestTimeTooSkewed), so whatever holds a request on its way (a proxy, a queue of the
// server) cannot deliver it later; 5 minutes are added for the difference of the clocks
// and for the work itself. Google's tokens bind no request to a time, but there the
// condition on a generation does (see Generational).
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
const MaxHold = 20 * time.Minute

// A Generational is a bucket that gives a tag to one object only, ever: a delete with a
// tag never deletes an object that was stored later. The ETag of S3 is not such a tag,
// since the same content has the same one.
type Generational interface{ Generational() bool }

// IsGenerational reports whether b gives each tag to one object only.
func IsGenerational(b Bucket) bool {
	g, ok := As[Generational](b)
	return ok && g.Generational()
}

// MayStillAct reports whether the call that failed with err may have had an effect, or may
// still have one: it may have been sent, and the provider did not refuse it.
func MayStillAct(err error) bool {
	if err == nil {
		return false
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return true
	}
	switch e.Kind {
	case Internal, Throttled, Unavailable, Corrupt:
		return !e.NoEffect
	}
	return false
}

// An AttemptLog collects the keys of objects of which some attempt to delete them may
// still act (MayStillAct), although a later attempt may have succeeded, and of those of
// which a delete has kept a version. It is safe for concurrent use.
type AttemptLog struct {
	mu              sync.Mutex
	keys, versioned map[string]struct{}
}

type attemptLogKey struct{}

// LogAttempts returns a context in which Retry records the attempts of deletes.
func LogAttempts(ctx context.Context) (context.Context, *AttemptLog) {
	l := &AttemptLog{keys: map[string]struct{}{}, versioned: map[string]struct{}{}}
	return context.WithValue(ctx, attemptLogKey{}, l), l
}

// Ambiguous reports whether an attempt to delete the object at key may still act.
func (l *AttemptLog) Ambiguous(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ambiguous := l.keys[key]
	return ambiguous
}

// Versioned reports whether a delete of the object at key has kept it as an older version,
// which frees no space.
func (l *AttemptLog) Versioned(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, versioned := l.versioned[key]
	return versioned
}

// NoteVersioned records in the log of ctx, if it has one, that a delete has kept the object
// at key as an older version.
func NoteVersioned(ctx context.Context, key string) {
	if l, ok := ctx.Value(attemptLogKey{}).(*AttemptLog); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.versioned[key] = struct{}{}
	}
}

// note records the outcome of one attempt in the log of ctx, if it has one.
func note(ctx context.Context, key string, err error) {
	if l, ok := ctx.Value(attemptLogKey{}).(*AttemptLog); ok && MayStillAct(err) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.keys[key] = struct{}{}
	}
}

// attempts records the outcome of each delete in the log of its context.
type attempts struct{ wrapper }

func newAttempts(b Bucket) attempts {
	return attempts{wrapper{b, func(ctx context.Context, _ string, do func(context.Context) error) error { return do(ctx) }}}
}

func (a attempts) Delete(ctx context.Context, key, tag string) error {
	err := a.inner.Delete(ctx, key, tag)
	note(ctx, key, err)
	return err
}

func (a attempts) DeleteBatch(ctx context.Context, objects []Deletion) []error {
	errs := a.inner.DeleteBatch(ctx, objects)
	for i, err := range errs {
		note(ctx, objects[i].Key, err)
	}
	return errs
}

// A SendTrace reports whether anything of an HTTP request was sent.
type SendTrace struct{ sent atomic.Bool }

// TraceSend returns a context whose requests are traced.
func TraceSend(ctx context.Context) (context.Context, *SendTrace) {
	t := &SendTrace{}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { t.sent.Store(true) }}), t
}

// Mark sets NoEffect on the error of a call that ended without any request sent, and
// returns the error.
func (t *SendTrace) Mark(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && !t.sent.Load() {
		e.NoEffect = true
	}
	return err
}
