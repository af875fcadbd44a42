package provider_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"firescan/provider"
	"firescan/provider/mem"
)

func TestProbeConditions(t *testing.T) {
	for _, ignored := range []mem.Ignored{{}, {Single: true}, {Batch: true}, {Single: true, Batch: true}} {
		b := mem.New(mem.Options{Ignore: ignored}, "bucket").Bucket("bucket")
		got, err := provider.ProbeConditions(t.Context(), b, "some/prefix/")
		if want := (provider.Conditions{Single: !ignored.Single, Batch: !ignored.Batch}); err != nil || got != want {
			t.Errorf("%+v ignored: %+v, %v", ignored, got, err)
		}
		if left := keysOf(t, b); len(left) != 0 {
			t.Errorf("%+v ignored: left are %q", ignored, left)
		}
	}
}

// keysOf are the keys of a small bucket.
func keysOf(t *testing.T, b provider.Bucket) []string {
	t.Helper()
	var page provider.Page
	if err := b.List(t.Context(), provider.ListRequest{}, &page); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range page.Objects {
		keys = append(keys, string(o.Key))
	}
	return keys
}

// TestProbeConditionsAlwaysCleansUp fails or gives up at each call in turn. Canaries are
// never left, and nothing else is ever touched.
func TestProbeConditionsAlwaysCleansUp(t *testing.T) {
	for _, way := range []string{"fails", "gives up", "fails after the work"} {
		for failing := 1; ; failing++ {
			var a *mem.Account
			calls := 0
			ctx, cancel := context.WithCancel(t.Context())
			touch := func(_ context.Context, _, key string) error {
				if !strings.HasPrefix(key, "prefix/.firescan-canary-") || len(key) < len("prefix/.firescan-canary-")+20 {
					t.Errorf("%q is touched", key)
				}
				if calls++; calls != failing {
					return nil
				}
				failure := &provider.Error{Kind: provider.Unavailable, Op: "any", Reason: "scripted"}
				switch way {
				case "gives up":
					cancel()
					return provider.Ended(ctx, "any", "bucket")
				case "fails after the work":
					a.Fill("bucket", 1, a.Now(), key)
				}
				return failure
			}
			a = mem.New(mem.Options{Faults: mem.Faults{Put: touch, Stat: touch, Delete: touch}})
			a.Fill("bucket", 1, a.Now(), "prefix/a", "prefix/.firescan-canary-", "z")
			b := a.Bucket("bucket")
			_, err := provider.ProbeConditions(ctx, b, "prefix/")
			cancel()
			if calls < failing {
				if err != nil {
					t.Errorf("nothing failed: %v", err)
				}
				break
			}
			if err == nil || way == "gives up" && !errors.Is(err, context.Canceled) {
				t.Errorf("%s at call %d: error %v", way, failing, err)
			}
			if left := keysOf(t, b); !slices.Equal(left, []string{"prefix/.firescan-canary-", "prefix/a", "z"}) {
				t.Errorf("%s at call %d: left are %q", way, failing, left)
			}
		}
	}
}

// TestDeleteBatchRetries tries again those objects alone that failed for a temporary
// reason.
func TestDeleteBatchRetries(t *testing.T) {
	failures := map[string][]provider.Kind{
		"throttled": {provider.Throttled, provider.Unavailable},
		"down":      {provider.Unavailable, provider.Unavailable, provider.Unavailable, provider.Unavailable},
		"denied":    {provider.Denied},
		"changed":   {provider.Changed},
	}
	asked := map[string]int{}
	a := mem.New(mem.Options{Faults: mem.Faults{Delete: func(_ context.Context, _, key string) error {
		n := asked[key]
		asked[key]++
		if n < len(failures[key]) {
			return &provider.Error{Kind: failures[key][n], Op: "delete batch", Reason: "scripted"}
		}
		return nil
	}}}, "bucket")
	keys := append(slices.Sorted(maps.Keys(failures)), "well")
	var batch []provider.Deletion
	for _, key := range keys {
		batch = append(batch, provider.Deletion{Key: key})
	}
	b := provider.Retry(provider.Limit(a.Bucket("bucket"), provider.NewLimiter(0)), provider.RetryOptions{Attempts: 3, Base: 1})
	got := map[string]string{}
	for i, err := range b.DeleteBatch(t.Context(), batch) {
		if got[keys[i]] = ""; err != nil {
			got[keys[i]] = provider.KindOf(err).String()
		}
	}
	if want := map[string]string{"throttled": "", "down": "unavailable", "denied": "denied", "changed": "changed", "well": ""}; !maps.Equal(got, want) {
		t.Errorf("outcomes %q, want %q", got, want)
	}
	if want := map[string]int{"throttled": 3, "down": 3, "denied": 1, "changed": 1, "well": 1}; !maps.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

// TestDeleteBatchGivenUp checks that objects that were not tried have the error of the
// call, and deleted ones are reported as deleted.
func TestDeleteBatchGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := mem.New(mem.Options{Faults: mem.Faults{Delete: func(_ context.Context, _, key string) error {
		if key == "second" {
			cancel()
			return &provider.Error{Kind: provider.Throttled, Op: "delete batch", Reason: "scripted"}
		}
		return nil
	}}}, "bucket")
	b := provider.Retry(a.Bucket("bucket"), provider.RetryOptions{Base: 1 << 40})
	errs := b.DeleteBatch(ctx, []provider.Deletion{{Key: "first"}, {Key: "second"}, {Key: "third"}})
	if errs[0] != nil || provider.KindOf(errs[1]) != provider.Throttled || !errors.Is(errs[2], context.Canceled) {
		t.Errorf("errors %v", errs)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range provider.Limit(a.Bucket("bucket"), provider.NewLimiter(1)).DeleteBatch(ended, make([]provider.Deletion, 2)) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
}
