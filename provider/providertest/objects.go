package providertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"firescan/provider"
)

func testObjects(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	ctx := t.Context()

	_, err := b.Stat(ctx, "nothing")
	wantKind(t, err, provider.NotFound)
	if err := b.Delete(ctx, "nothing", ""); err != nil {
		t.Errorf("delete of a missing object: %v", err)
	}
	wantKind(t, b.Put(ctx, strings.Repeat("x", 2000), nil), provider.Invalid)
	for _, key := range fitting(quirks) {
		fill(t, b, []string{key})
		first, err := b.Stat(ctx, key)
		if err != nil {
			t.Errorf("stat %q: %v", key, err)
			continue
		}
		if err := b.Put(ctx, key, []byte("another, and longer for it, body: "+key)); err != nil {
			t.Errorf("replace %q: %v", key, err)
		}
		second, err := b.Stat(ctx, key)
		if err != nil || second.Tag == first.Tag || second.Size == first.Size {
			t.Errorf("%q replaced: %+v is as before (%v)", key, second, err)
		}
		if err := b.Delete(ctx, key, ""); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
		_, err = b.Stat(ctx, key)
		wantKind(t, err, provider.NotFound)
	}
	if got, err := walk(ctx, b, provider.ListRequest{}); err != nil || len(got.keys) > 0 {
		t.Errorf("deleted all, but listed %q, %v", got.keys, err)
	}
}

func testBuckets(t *testing.T, open Open) {
	t.Helper()
	account, name := open(t)
	ctx := t.Context()
	if err := account.CreateBucket(ctx, name+"-two", ""); err != nil {
		t.Fatal(err)
	}
	wantKind(t, account.CreateBucket(ctx, name+"-two", ""), provider.Exists)
	wantKind(t, account.CreateBucket(ctx, "Not A Bucket_Name", ""), provider.Invalid)
	infos, err := account.Buckets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, info := range infos {
		names = append(names, info.Name)
	}
	if !slices.IsSorted(names) || !slices.Contains(names, name) || !slices.Contains(names, name+"-two") {
		t.Errorf("buckets %q, want %q and %q among them, ascending", names, name, name+"-two")
	}
}

func testMissingBucket(t *testing.T, open Open) {
	t.Helper()
	account, _ := open(t)
	b := account.Bucket("no-such-bucket")
	ctx := t.Context()
	wantKind(t, b.List(ctx, provider.ListRequest{}, &provider.Page{}), provider.NoBucket)
	wantKind(t, b.Put(ctx, "key", nil), provider.NoBucket)
	// S3 returns HEAD without a body, so that it cannot distinguish the two.
	_, err := b.Stat(ctx, "key")
	wantKind(t, err, provider.NoBucket, provider.NotFound)
	if _, err := provider.Probe(ctx, b, ""); provider.KindOf(err) != provider.NoBucket {
		t.Errorf("probe of a missing bucket: %v", err)
	}
}

func testCancelled(t *testing.T, open Open) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, statErr := b.Stat(ctx, "key")
	_, bucketsErr := account.Buckets(ctx)
	for op, err := range map[string]error{
		"list":          b.List(ctx, provider.ListRequest{}, &provider.Page{}),
		"stat":          statErr,
		"put":           b.Put(ctx, "key", nil),
		"delete":        b.Delete(ctx, "key", ""),
		"delete batch":  b.DeleteBatch(ctx, []provider.Deletion{{Key: "key"}})[0],
		"buckets":       bucketsErr,
		"create bucket": account.CreateBucket(ctx, name+"-three", ""),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", op, err)
		}
	}
}

func testProbe(t *testing.T, open Open) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	got, err := provider.Probe(t.Context(), b, "some/prefix/")
	if want := (provider.Permissions{Read: true, Write: true, Delete: true}); err != nil || got != want {
		t.Errorf("permissions %+v, %v", got, err)
	}
	if left, err := walk(t.Context(), b, provider.ListRequest{}); err != nil || len(left.keys) > 0 {
		t.Errorf("the probe left %q behind, %v", left.keys, err)
	}
}

// testReadOnly: refusals are reported as such, also of each object of a batch, and by the
// probe.
func testReadOnly(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	account, name := open(t)
	fill(t, account.Bucket(name), []string{"there"})
	b := quirks.ReadOnly(t, name).Bucket(name)
	ctx := t.Context()
	got, err := provider.Probe(ctx, b, "some/prefix/")
	if want := (provider.Permissions{Read: true}); err != nil || got != want {
		t.Errorf("permissions %+v, %v; want %+v", got, err, want)
	}
	wantKind(t, b.Put(ctx, "key", nil), provider.Denied)
	wantKind(t, b.Delete(ctx, "there", ""), provider.Denied)
	for _, err := range b.DeleteBatch(ctx, []provider.Deletion{{Key: "there"}, {Key: "missing"}}) {
		wantKind(t, err, provider.Denied)
	}
	if _, err := provider.ProbeConditions(ctx, b, ""); provider.KindOf(err) != provider.Denied {
		t.Errorf("conditions: %v", err)
	}
	if left, err := walk(ctx, b, provider.ListRequest{}); err != nil || !slices.Equal(left.keys, []string{"there"}) {
		t.Errorf("left are %q, %v", left.keys, err)
	}
}

func testStranger(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	_, name := open(t)
	stranger := quirks.Stranger(t)
	_, err := stranger.Buckets(t.Context())
	wantKind(t, err, provider.Credentials)
	b := stranger.Bucket(name)
	wantKind(t, b.List(t.Context(), provider.ListRequest{}, &provider.Page{}), provider.Credentials)
	wantKind(t, b.Put(t.Context(), "key", nil), provider.Credentials)
}
