package provider

import (
	"context"
	"errors"
)

// A wrapper is a bucket every call of which runs inside of a func; the decorators differ
// in that func alone. op is the call's name as in Error.Op.
type wrapper struct {
	inner Bucket
	run   func(ctx context.Context, op string, do func(context.Context) error) error
}

func (w wrapper) List(ctx context.Context, req ListRequest, page *Page) error {
	return w.run(ctx, "list", func(ctx context.Context) error { return w.inner.List(ctx, req, page) })
}

// ListSerial implements SerialLister. It returns errors.ErrUnsupported when the inner
// bucket is none.
func (w wrapper) ListSerial(ctx context.Context, prefix, token string, page *Page) (next string, err error) {
	lister, ok := w.inner.(SerialLister)
	if !ok {
		return "", errors.ErrUnsupported
	}
	err = w.run(ctx, "list", func(ctx context.Context) error {
		next, err = lister.ListSerial(ctx, prefix, token, page)
		return err
	})
	return next, err
}

func (w wrapper) Stat(ctx context.Context, key string) (info Info, err error) {
	err = w.run(ctx, "stat", func(ctx context.Context) error {
		info, err = w.inner.Stat(ctx, key)
		return err
	})
	return info, err
}

func (w wrapper) Put(ctx context.Context, key string, body []byte) error {
	return w.run(ctx, "put", func(ctx context.Context) error { return w.inner.Put(ctx, key, body) })
}

func (w wrapper) Delete(ctx context.Context, key, tag string) error {
	return w.run(ctx, "delete", func(ctx context.Context) error { return w.inner.Delete(ctx, key, tag) })
}

// DeleteBatch runs the batch as one call, whose outcome is that of the object that went
// worst. A retry covers only the objects that failed for a temporary reason.
func (w wrapper) DeleteBatch(ctx context.Context, objects []Deletion) []error {
	errs := make([]error, len(objects))
	pending := make([]int, len(objects))
	for i := range pending {
		pending[i] = i
	}
	err := w.run(ctx, "delete batch", func(ctx context.Context) error {
		batch := make([]Deletion, len(pending))
		for n, i := range pending {
			batch[n] = objects[i]
		}
		var again []int
		var worst error
		for n, err := range w.inner.DeleteBatch(ctx, batch) {
			i := pending[n]
			errs[i] = err
			if err != nil && KindOf(err).Temporary() {
				again = append(again, i)
			}
			worst = worse(worst, err)
		}
		pending = again
		return worst
	})
	// Objects without a result have the error of the call: it was canceled, or timed out.
	for _, i := range pending {
		if err != nil && (errs[i] == nil || errors.Is(errs[i], context.Canceled) || errors.Is(errs[i], context.DeadlineExceeded)) {
			errs[i] = err
		}
	}
	return errs
}

// worse returns the error that says more about the call as a whole: throttling, then
// other temporary errors, then permanent ones.
func worse(a, b error) error {
	rank := func(err error) int {
		switch kind := KindOf(err); {
		case err == nil:
			return 0
		case kind == Throttled:
			return 3
		case kind.Temporary():
			return 2
		}
		return 1
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// Unwrap is the bucket inside; see As.
func (w wrapper) Unwrap() Bucket { return w.inner }

// As finds what a bucket can do beyond the seam: the first T on the way from b through
// its decorators to the implementation. A call of it is neither retried, paced nor
// measured.
func As[T any](b Bucket) (found T, ok bool) {
	for {
		if found, ok = b.(T); ok {
			return found, true
		}
		outer, wraps := b.(interface{ Unwrap() Bucket })
		if !wraps {
			return found, false
		}
		b = outer.Unwrap()
	}
}
