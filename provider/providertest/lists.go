package providertest

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firescan/keyspace"
	"firescan/provider"
)

func testLists(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	keys := fitting(quirks)
	if left := len(hostile) - len(keys); left > 0 {
		t.Logf("%d of %d keys are unfit for this server", left, len(hostile))
	}
	before := time.Now().Add(-time.Minute)
	fill(t, b, keys)

	check := func(t *testing.T, req provider.ListRequest) {
		t.Helper()
		got, err := walk(t.Context(), b, req)
		if err != nil {
			t.Errorf("%+v: %v", req, err)
		} else if diff := expect(keys, req).differs(got); diff != "" {
			t.Errorf("%+v: %s", req, diff)
		}
	}
	t.Run("whole", func(t *testing.T) { check(t, provider.ListRequest{}) })
	if !quirks.SmallPages {
		t.Run("details", func(t *testing.T) { testDetails(t, b, keys, before) })
	}
	t.Run("pages", func(t *testing.T) {
		for _, n := range []int{1, 2, 3, 7, len(keys), len(keys) + 1, 1000, 5000} {
			check(t, provider.ListRequest{MaxKeys: n})
			check(t, provider.ListRequest{MaxKeys: n, Delimiter: "/"})
			check(t, provider.ListRequest{MaxKeys: n, Delimiter: "/", Prefix: "dir/"})
		}
	})
	t.Run("resumed at each key", func(t *testing.T) {
		for _, key := range keys {
			check(t, provider.ListRequest{Start: key})
			check(t, provider.ListRequest{Start: keyspace.After(key)})
			check(t, provider.ListRequest{Start: key, End: keyspace.After(key)})
			check(t, provider.ListRequest{Prefix: key})
		}
	})
	t.Run("empty ranges", func(t *testing.T) {
		for _, req := range []provider.ListRequest{
			{Start: "b", End: "b"},
			{Start: "b", End: "a"},
			{Prefix: "dir/", Start: "dir0"},
			{Prefix: "dir/", End: "dir/"},
			{Prefix: "no such prefix"},
			{Start: "\U0010ffff"},
		} {
			check(t, req)
		}
	})
	t.Run("any range", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			req := request(rt, keys)
			if quirks.RefusesPrefix != nil && quirks.RefusesPrefix(req.Prefix) {
				req.Prefix = ""
			}
			got, err := walk(t.Context(), b, req)
			if err != nil {
				rt.Fatalf("%+v: %v", req, err)
			}
			if diff := expect(keys, req).differs(got); diff != "" {
				rt.Fatalf("%+v: %s", req, diff)
			}
		})
	})
}

// request draws a range whose bounds are keys, cuts of keys and their neighbors.
func request(t *rapid.T, keys []string) provider.ListRequest {
	bound := rapid.Custom(func(t *rapid.T) string {
		key := rapid.SampledFrom(keys).Draw(t, "key")
		switch rapid.IntRange(0, 5).Draw(t, "form") {
		case 0:
			return ""
		case 1:
			return key
		case 2:
			return keyspace.After(key)
		case 3:
			return key[:rapid.IntRange(0, len(key)).Draw(t, "cut")]
		case 4:
			return key + rapid.SampledFrom([]string{"!", "~", "%", " ", "é", "/"}).Draw(t, "tail")
		default:
			cut := rapid.IntRange(0, len(key)-1).Draw(t, "cut")
			return key[:cut] + rapid.SampledFrom([]string{"0", "a", "~", "$", "&", " ", "é", "本"}).Draw(t, "tail")
		}
	})
	key := rapid.SampledFrom(keys).Draw(t, "prefix key")
	return provider.ListRequest{
		Prefix:    key[:rapid.SampledFrom([]int{0, 0, 1, len(key) / 2}).Draw(t, "prefix length")],
		Start:     bound.Draw(t, "start"),
		End:       bound.Draw(t, "end"),
		Delimiter: rapid.SampledFrom([]string{"", "", "/"}).Draw(t, "delimiter"),
		MaxKeys:   rapid.SampledFrom([]int{0, 3, 10}).Draw(t, "max keys"),
	}
}

// testDetails checks that a list and Stat agree on each object, and that a
// page that is used again keeps nothing.
func testDetails(t *testing.T, b provider.Bucket, keys []string, before time.Time) {
	t.Helper()
	var page provider.Page
	for range 2 {
		if err := b.List(t.Context(), provider.ListRequest{}, &page); err != nil {
			t.Fatal(err)
		}
	}
	if len(page.Objects) != len(keys) || page.More || len(page.Prefixes) != 0 || page.Skipped != 0 {
		t.Fatalf("%d objects, %d prefixes, %d skipped, more %v; want %d objects",
			len(page.Objects), len(page.Prefixes), page.Skipped, page.More, len(keys))
	}
	for i, o := range page.Objects {
		key := string(o.Key)
		if key != keys[i] || o.Size != int64(len(key)) || len(o.Tag) == 0 || o.Tag[0] == '"' ||
			o.ModTime < before.UnixMilli() || o.ModTime > time.Now().Add(time.Minute).UnixMilli() {
			t.Fatalf("object %d is %q, %d bytes, tag %q, modified %d", i, key, o.Size, o.Tag, o.ModTime)
		}
		info, err := b.Stat(t.Context(), key)
		if err != nil {
			t.Errorf("stat %q: %v", key, err)
		} else if info.Key != key || info.Size != o.Size || info.Tag != string(o.Tag) ||
			// One of them may have no fraction, and a fake may read its clock twice.
			info.ModTime.Sub(time.UnixMilli(o.ModTime)).Abs() > 2*time.Second {
			t.Errorf("stat %q: %+v, but listed %d bytes, tag %q, modified %d", key, info, o.Size, o.Tag, o.ModTime)
		}
	}
}

func testEmpty(t *testing.T, open Open) {
	t.Helper()
	account, name := open(t)
	for _, req := range []provider.ListRequest{{}, {Prefix: "a"}, {Start: "a", End: "b"}, {Delimiter: "/"}, {MaxKeys: 1}} {
		got, err := walk(t.Context(), account.Bucket(name), req)
		if err != nil || len(got.keys)+len(got.prefixes) > 0 {
			t.Errorf("%+v: %v, %v", req, got, err)
		}
	}
}

func testPlaceholders(t *testing.T, open Open) {
	t.Helper()
	account, name := open(t)
	b := account.Bucket(name)
	for _, key := range []string{"empty", "folder/", "folder/file", "other/", "third/"} {
		var body []byte
		if key == "folder/file" {
			body = []byte("x")
		}
		if err := b.Put(t.Context(), key, body); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
	}
	for _, n := range []int{0, 1, 2} {
		got, err := walk(t.Context(), b, provider.ListRequest{MaxKeys: n})
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got.keys) != "[empty folder/file]" || got.skipped != 3 {
			t.Errorf("pages of %d: keys %q, %d skipped", n, got.keys, got.skipped)
		}
	}
}
