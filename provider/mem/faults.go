package mem

import (
	"context"

	"firescan/provider"
)

// Faults are what may go wrong. Each func that is set is called before the work of its
// operation (BeforeList and the like) or after it (AfterList); an error that it
// returns is the operation's. A func may block to be slow, and must heed ctx then.
// Funcs are called concurrently.
type Faults struct {
	// BeforeList runs before a page is made.
	BeforeList func(ctx context.Context, bucket string, req provider.ListRequest) error
	// AfterList may spoil the page that was made.
	AfterList func(ctx context.Context, bucket string, req provider.ListRequest, page *provider.Page) error

	Stat func(ctx context.Context, bucket, key string) error
	Put  func(ctx context.Context, bucket, key string) error
	// Delete is called for each object of a batch as well.
	Delete func(ctx context.Context, bucket, key string) error
	// DeleteBatch is called before a batch; its error is that of every object.
	DeleteBatch func(ctx context.Context, bucket string, objects []provider.Deletion) error

	// Buckets and CreateBucket are called with an empty key.
	Buckets      func(ctx context.Context, bucket, key string) error
	CreateBucket func(ctx context.Context, bucket, key string) error
}

// Always returns a fault that fails every call with an error of that kind: a revoked
// key, say, or a provider that is down.
func Always(kind provider.Kind, op string) func(context.Context, string, string) error {
	return func(_ context.Context, bucket, _ string) error {
		return &provider.Error{Kind: kind, Op: op, Bucket: bucket, Reason: "injected"}
	}
}

// Broken makes Faults in which everything fails with that kind.
func Broken(kind provider.Kind) Faults {
	return Faults{
		BeforeList: func(_ context.Context, bucket string, _ provider.ListRequest) error {
			return &provider.Error{Kind: kind, Op: "list", Bucket: bucket, Reason: "injected"}
		},
		Stat:         Always(kind, "stat"),
		Put:          Always(kind, "put"),
		Delete:       Always(kind, "delete"),
		Buckets:      Always(kind, "buckets"),
		CreateBucket: Always(kind, "create bucket"),
	}
}

func before(ctx context.Context, fault func(context.Context, string, string) error, op, bucket, key string) error {
	if err := provider.Ended(ctx, op, bucket); err != nil {
		return err
	}
	if fault == nil {
		return nil
	}
	return fault(ctx, bucket, key)
}
