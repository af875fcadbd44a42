package gcs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firescan/provider"
)

// fieldsOf reads an object field by field: encoding/json takes names in any case of
// letters, and the names that we read are the same to the letter.
func fieldsOf(body []byte, into map[string]any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return err
	}
	for name, target := range into {
		if text, ok := fields[name]; ok {
			if err := json.Unmarshal(text, target); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// oracle is what encoding/json reads in a page, in the form of a page of ours, with the
// token after it.
func oracle(body []byte) ([]string, error) {
	var (
		page            provider.Page
		kind, token     string
		items           []json.RawMessage
		name, size, tag string
	)
	if err := fieldsOf(body, map[string]any{"kind": &kind, "nextPageToken": &token, "prefixes": &page.Prefixes, "items": &items}); err != nil {
		return nil, err
	}
	if kind != kindObjects {
		return nil, fmt.Errorf("kind %q", kind)
	}
	for _, item := range items {
		updated := time.UnixMilli(0)
		if err := fieldsOf(item, map[string]any{"name": &name, "size": &size, "generation": &tag, "updated": &updated}); err != nil {
			return nil, err
		}
		bytes, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return nil, err
		}
		page.Add([]byte(name), []byte(tag), bytes, updated.UnixMilli())
	}
	return append(content(&page), token), nil
}

// FuzzDecode: no body makes the scanner panic, and whatever it accepts encoding/json
// reads in the same way, object by object.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"kind":"storage#objects","items":[` + item("a", "1") + "," + item("b/é", "20") + `],"prefixes":["x/","y/"],"nextPageToken":"t"}`))
	f.Add([]byte(`{"kind":"storage#objects","items":[{"name":"\u003c\ud83d\udd25\n","size":"0","generation":"7","acl":[{"a":[1,2.5e-3,null]}]}]}`))
	f.Add([]byte(`{"error":{"code":429}}`))
	f.Add([]byte(`{"kind":"storage#objects","x":{"y":[true,false,{}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, req := range []provider.ListRequest{{}, {Delimiter: "/"}} {
			d, err := read(t, string(body), req)
			if err != nil {
				continue
			}
			want, err := oracle(body)
			if got := append(content(d.page), d.token); err != nil || !slices.Equal(got, want) {
				t.Fatalf("got %q, want %q, %v: %q", got, want, err, body)
			}
		}
	})
}

// TestValidPagesAreRead draws pages as encoders may write them, and holds every object.
func TestValidPagesAreRead(t *testing.T) {
	name := rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune("ab/<>&\"\\\x00\t\n\u2028é本🔥")), rapid.Rune()), 1, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(name, 0, 6, rapid.ID[string]).Draw(t, "names")
		slices.Sort(keys)
		var items []map[string]any
		var want []string
		for i, key := range keys {
			size := rapid.Int64Range(1, 1<<50).Draw(t, "size")
			items = append(items, map[string]any{
				"name": key, "size": fmt.Sprint(size), "generation": fmt.Sprint(i), "updated": "2026-01-02T03:04:05.678Z",
				"metadata": map[string]any{key: []any{nil, true, size, "\u00e9"}},
			})
			want = append(want, fmt.Sprintf("%q %d 2026-01-02T03:04:05.678Z %d", key, size, i))
		}
		document := map[string]any{"kind": kindObjects, "etag": rapid.Float64Range(-1e300, 1e300).Draw(t, "number")}
		if len(items) > 0 {
			document["items"] = items
		}
		indent := rapid.SampledFrom([]string{"", "\t"}).Draw(t, "indent")
		body, err := json.MarshalIndent(document, "", indent)
		if err != nil {
			t.Fatal(err)
		}
		d := decoder{window: window{}, page: &provider.Page{}}
		if err := d.decode(body); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if got := content(d.page); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
