package providertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firescan/provider"
)

// testBatch deletes every hostile key by batches, and looks whether the others stay.
func testBatch(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	ctx := t.Context()

	if errs := b.DeleteBatch(ctx, nil); len(errs) != 0 {
		t.Errorf("an empty batch: %v", errs)
	}
	keys := fitting(quirks)
	fill(t, b, keys)
	// Every other key goes; the ones between them are what a key goes over into when it is
	// written wrongly.
	var go1st, stay []string
	var batch []provider.Deletion
	for i, key := range keys {
		if i%2 == 0 {
			go1st = append(go1st, key)
			batch = append(batch, provider.Deletion{Key: key})
		} else {
			stay = append(stay, key)
		}
	}
	missing := []string{"missing", "also/missing & <gone>"}
	for _, key := range missing {
		batch = append(batch, provider.Deletion{Key: key})
	}
	for i, err := range b.DeleteBatch(ctx, batch) {
		if err != nil {
			t.Errorf("%q in a batch: %v", batch[i].Key, err)
		}
	}
	got, err := walk(ctx, b, provider.ListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := apart("keys", got.keys, stay); diff != "" {
		t.Errorf("%d of %d keys deleted: %s", len(go1st), len(keys), diff)
	}
	batch = nil
	for _, key := range stay {
		batch = append(batch, provider.Deletion{Key: key})
	}
	if errs := slices.Compact(b.DeleteBatch(ctx, batch)); len(errs) != 1 || errs[0] != nil {
		t.Errorf("the others in a batch: %v", errs)
	}
	if got, err := walk(ctx, b, provider.ListRequest{}); err != nil || len(got.keys) > 0 {
		t.Errorf("deleted all, but listed %q, %v", got.keys, err)
	}
}

// testBatchSize deletes the most objects of one batch, and one more.
func testBatchSize(t *testing.T, open Open) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	fill(t, b, []string{"there"})
	batch := []provider.Deletion{{Key: "there"}}
	for len(batch) <= provider.MaxDeletions {
		batch = append(batch, provider.Deletion{Key: fmt.Sprintf("missing/%d%s", len(batch), strings.Repeat("x", len(batch)%50))})
	}
	errs := b.DeleteBatch(t.Context(), batch)
	if len(errs) != len(batch) {
		t.Fatalf("%d errors for %d objects", len(errs), len(batch))
	}
	for _, err := range errs {
		wantKind(t, err, provider.Invalid)
	}
	if _, err := b.Stat(t.Context(), "there"); err != nil {
		t.Errorf("a batch that was refused: %v", err)
	}
	errs = b.DeleteBatch(t.Context(), batch[:provider.MaxDeletions])
	if len(errs) != provider.MaxDeletions || slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		t.Errorf("the largest batch: %.200v", errs)
	}
	_, err := b.Stat(t.Context(), "there")
	wantKind(t, err, provider.NotFound)
}

// testConditions deletes with tags: the object's own, one that it had before, and none.
func testConditions(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	ctx := t.Context()
	batch := func(key, tag string) error { return b.DeleteBatch(ctx, []provider.Deletion{{Key: key, Tag: tag}})[0] }
	single := func(key, tag string) error { return b.Delete(ctx, key, tag) }
	for _, form := range []struct {
		name    string
		remove  func(key, tag string) error
		ignored bool
	}{{"single", single, quirks.IgnoresCondition}, {"batch", batch, quirks.IgnoresBatchCondition}} {
		t.Run(form.name, func(t *testing.T) {
			for _, key := range []string{"plain", "with blank & <tag>+%41", "grüße/日本語"} {
				tags := make([]string, 2)
				for i := range tags {
					if err := b.Put(ctx, key, []byte(key[:i+2])); err != nil {
						t.Fatal(err)
					}
					info, err := b.Stat(ctx, key)
					if err != nil {
						t.Fatal(err)
					}
					tags[i] = info.Tag
				}
				if form.ignored {
					if err := form.remove(key, tags[0]); err != nil {
						t.Errorf("%q with an old tag, ignored: %v", key, err)
					}
				} else {
					wantKind(t, form.remove(key, tags[0]), provider.Changed)
					if info, err := b.Stat(ctx, key); err != nil || info.Tag != tags[1] {
						t.Errorf("%q is lost by a delete with an old tag: %+v, %v", key, info, err)
					}
					if err := form.remove(key, tags[1]); err != nil {
						t.Errorf("%q with its tag: %v", key, err)
					}
				}
				_, err := b.Stat(ctx, key)
				wantKind(t, err, provider.NotFound)
				if err := form.remove(key, tags[1]); err != nil && (!quirks.GoneIsChanged || provider.KindOf(err) != provider.Changed) {
					t.Errorf("%q, which is gone, with a tag: %v", key, err)
				}
			}
		})
	}
	t.Run("a batch of both", func(t *testing.T) { testMixedBatch(t, b, quirks) })
}

func testMixedBatch(t *testing.T, b provider.Bucket, quirks Quirks) {
	t.Helper()
	fill(t, b, []string{"a", "b", "c"})
	info, err := b.Stat(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	errs := b.DeleteBatch(t.Context(), []provider.Deletion{{Key: "a", Tag: info.Tag}, {Key: "b", Tag: info.Tag}, {Key: "c"}})
	want := []string{"a"}
	if quirks.IgnoresBatchCondition {
		want = nil
	} else {
		wantKind(t, errs[0], provider.Changed)
		errs[0] = nil
	}
	if errs[0] != nil || errs[1] != nil || errs[2] != nil {
		t.Errorf("errors %v", errs)
	}
	if got, err := walk(t.Context(), b, provider.ListRequest{}); err != nil || !slices.Equal(got.keys, want) {
		t.Errorf("left are %q, %v; want %q", got.keys, err, want)
	}
}

// testProbeConditions finds by canary what the quirks declare, and leaves all as it was.
func testProbeConditions(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	there := []string{"other", "prefix/.firescan-canary-", "prefix/a"}
	fill(t, b, there)
	got, err := provider.ProbeConditions(t.Context(), b, "prefix/")
	if want := (provider.Conditions{Single: !quirks.IgnoresCondition, Batch: !quirks.IgnoresBatchCondition}); err != nil || got != want {
		t.Errorf("conditions %+v, %v; want %+v", got, err, want)
	}
	if left, err := walk(t.Context(), b, provider.ListRequest{}); err != nil || !slices.Equal(left.keys, there) {
		t.Errorf("the probe left %q, %v", left.keys, err)
	}
}

// testFolders finds the folders of the hostile keys.
func testFolders(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	keys := fitting(quirks)
	fill(t, b, keys)
	var want []string
	for _, key := range keys {
		for i := range key {
			if key[i] == '/' && strings.Count(key[:i], "/") < 16 {
				want = append(want, key[:i+1])
			}
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	got, err := provider.Folders(t.Context(), b, provider.FolderLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := apart("folders", got.Folders, want); diff != "" {
		t.Error(diff)
	}
}
