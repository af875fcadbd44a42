package mem_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"firescan/provider"
	"firescan/provider/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFillAndPage(t *testing.T) {
	a := mem.New(mem.Options{PageSize: 2})
	when := time.UnixMilli(1_700_000_000_123)
	a.Fill("bucket", 7, when, "c", "a", "e", "b", "d")
	b := a.Bucket("bucket")

	var got []string
	var page provider.Page
	req := provider.ListRequest{Start: "b", End: "e"}
	for {
		if err := b.List(t.Context(), req, &page); err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			got = append(got, string(o.Key))
			if o.Size != 7 || o.ModTime != when.UnixMilli() || len(o.Tag) != 32 {
				t.Errorf("object %+v", o)
			}
		}
		if !page.More {
			break
		}
		req.Start = page.Next
	}
	if want := []string{"b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func TestFaults(t *testing.T) {
	ctx := t.Context()
	a := mem.New(mem.Options{Faults: mem.Broken(provider.Denied)}, "bucket")
	b := a.Bucket("bucket")
	_, statErr := b.Stat(ctx, "k")
	_, bucketsErr := a.Buckets(ctx)
	for op, err := range map[string]error{
		"list":          b.List(ctx, provider.ListRequest{}, &provider.Page{}),
		"stat":          statErr,
		"put":           b.Put(ctx, "k", nil),
		"delete":        b.Delete(ctx, "k", ""),
		"buckets":       bucketsErr,
		"create bucket": a.CreateBucket(ctx, "another", ""),
	} {
		if provider.KindOf(err) != provider.Denied {
			t.Errorf("%s: %v, want kind denied", op, err)
		}
	}

	spoiled := mem.New(mem.Options{Faults: mem.Faults{
		AfterList: func(_ context.Context, _ string, _ provider.ListRequest, page *provider.Page) error {
			page.Objects = page.Objects[:0]
			return nil
		},
	}})
	spoiled.Fill("bucket", 1, time.Now(), "a", "b")
	var page provider.Page
	if err := spoiled.Bucket("bucket").List(ctx, provider.ListRequest{}, &page); err != nil || len(page.Objects) != 0 {
		t.Errorf("AfterList did not act: %v, %d objects", err, len(page.Objects))
	}
}
