package gcs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"firescan/provider"
	"firescan/provider/providertest/fakegcs"
)

func TestDeleteUnderACondition(t *testing.T) {
	b := signedIn(t, withBucket()).Bucket("bucket")
	ctx := t.Context()
	put := func(key string) string {
		t.Helper()
		if err := b.Put(ctx, key, []byte("body")); err != nil {
			t.Fatal(err)
		}
		info, err := b.Stat(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return info.Tag
	}
	old := put("key")
	current := put("key")
	for _, tag := range []string{old, "0", "-1", "x", strconv.Itoa(1 << 62), "99999999999999999999"} {
		if err := b.Delete(ctx, "key", tag); provider.KindOf(err) != provider.Changed {
			t.Errorf("deleted with tag %q: %v", tag, err)
		}
	}
	if err := b.Delete(ctx, "key", current); err != nil {
		t.Error(err)
	}
	if err := b.Delete(ctx, "key", current); err != nil {
		t.Errorf("deleted again: %v", err)
	}
	a := put("a")
	put("z")
	errs := b.DeleteBatch(ctx, []provider.Deletion{{Key: "a", Tag: a}, {Key: "z", Tag: a}, {Key: "never was", Tag: a}, {Key: ".."}})
	for i, want := range []provider.Kind{0, provider.Changed, 0, provider.Invalid} {
		if got := errs[i]; want == 0 && got != nil || want != 0 && provider.KindOf(got) != want {
			t.Errorf("object %d: %v, want kind %v", i, got, want)
		}
	}
	if errs := b.DeleteBatch(ctx, nil); len(errs) != 0 {
		t.Errorf("no objects: %v", errs)
	}
	if errs := b.DeleteBatch(ctx, make([]provider.Deletion, provider.MaxDeletions+1)); len(errs) != provider.MaxDeletions+1 || provider.KindOf(errs[0]) != provider.Invalid {
		t.Errorf("too many objects: %v", errs[:1])
	}
}

// TestBatchesAreBounded deletes a thousand objects, of which some fail, at most 32 at
// once.
func TestBatchesAreBounded(t *testing.T) {
	var now, most atomic.Int64
	b := answering(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if strings.HasSuffix(r.URL.Path, "7") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	objects := make([]provider.Deletion, provider.MaxDeletions)
	for i := range objects {
		objects[i].Key = fmt.Sprint("key-", i)
	}
	for i, err := range b.DeleteBatch(t.Context(), objects) {
		if bad := i%10 == 7; bad != (provider.KindOf(err) == provider.Throttled) || !bad && err != nil {
			t.Errorf("object %d: %v", i, err)
		}
	}
	if most.Load() > 32 {
		t.Errorf("%d requests at once", most.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, err := range b.DeleteBatch(ctx, objects) {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("object %d of a batch that was given up: %v", i, err)
		}
	}
}

// TestConditionsByCanary checks that conditions are found to be honored by Google, and
// ignored by fake-gcs-server, which deletes any generation.
func TestConditionsByCanary(t *testing.T) {
	got, err := provider.ProbeConditions(t.Context(), signedIn(t, withBucket()).Bucket("bucket"), "some/")
	if want := (provider.Conditions{Single: true, Batch: true}); err != nil || got != want {
		t.Errorf("Google: %+v, %v", got, err)
	}
	a := dial(t, fakegcs.Start(t), false)
	if err := a.CreateBucket(t.Context(), "bucket", ""); err != nil {
		t.Fatal(err)
	}
	got, err = provider.ProbeConditions(t.Context(), a.Bucket("bucket"), "some/")
	if err != nil || got != (provider.Conditions{}) {
		t.Errorf("fake-gcs-server: %+v, %v", got, err)
	}
}

func TestPermissions(t *testing.T) {
	for want, has := range map[provider.Permissions][]string{
		{Read: true, Write: true, Delete: true}: nil,
		{}:                                      {},
		{Read: true}:                            {"storage.objects.list", "storage.objects.get"},
		{Write: true}:                           {"storage.objects.list", "storage.objects.create"},
	} {
		g := withBucket()
		if g.permissions = has; has != nil {
			g.permissions = slices.Clone(has)
		}
		a := signedIn(t, g)
		tested, ok := a.Bucket("bucket").(provider.Permissioner)
		if !ok {
			t.Fatal("permissions cannot be asked for")
		}
		_, err := tested.TestPermissions(t.Context())
		if none := has != nil && len(has) == 0; none != (provider.KindOf(err) == provider.Denied) || !none && err != nil {
			t.Errorf("%q: %v", has, err)
		}
		if has != nil && len(has) == 0 {
			continue // they are tried
		}
		got, checks, err := provider.ProbeCalls(t.Context(), a.Bucket("bucket"), "")
		if err != nil || got != want || len(checks) != 4 {
			t.Errorf("%q: %+v, %v; want %+v; %+v", has, got, err, want, checks)
		}
	}
}

func TestBuckets(t *testing.T) {
	g := newGoogle()
	g.buckets["zebra"], g.buckets["alpha"] = nil, nil
	infos, err := signedIn(t, g).Buckets(t.Context())
	if err != nil || len(infos) != 2 || infos[0].Name != "alpha" || infos[0].Region != "europe-west3" || infos[0].CreatedAt.Year() != 2026 {
		t.Errorf("%+v, %v", infos, err)
	}
}

// TestFirebaseBuckets checks that who gives the project as the bucket gets both names in
// the error.
func TestFirebaseBuckets(t *testing.T) {
	endpoint := fakegcs.Start(t)
	for firebase, want := range map[bool]bool{true: true, false: false} {
		err := dial(t, endpoint, firebase).Bucket("a-project").List(t.Context(), provider.ListRequest{}, &provider.Page{})
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || e.Kind != provider.NoBucket || strings.Contains(e.Reason, "<project>.firebasestorage.app") != want {
			t.Errorf("firebase %v: %v", firebase, err)
		}
	}
}
