package provider_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"firescan/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a bucket whose every call calls one func.
type scripted func(ctx context.Context) error

var _ provider.Bucket = scripted(nil)

func (s scripted) List(ctx context.Context, _ provider.ListRequest, _ *provider.Page) error {
	return s(ctx)
}

func (s scripted) Stat(ctx context.Context, key string) (provider.Info, error) {
	return provider.Info{Key: key}, s(ctx)
}
func (s scripted) Put(ctx context.Context, _ string, _ []byte) error { return s(ctx) }
func (s scripted) Delete(ctx context.Context, _, _ string) error     { return s(ctx) }

func (s scripted) DeleteBatch(ctx context.Context, objects []provider.Deletion) []error {
	return provider.ForEach(len(objects), s(ctx))
}

func list(ctx context.Context, b provider.Bucket) error {
	return b.List(ctx, provider.ListRequest{}, &provider.Page{})
}
