package gcs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firescan/keyspace"
	"firescan/provider"
)

// item is an object as Google returns it.
func item(name, size string) string {
	return fmt.Sprintf(`{"name":%q,"size":%q,"updated":"2026-01-02T03:04:05.678Z","generation":"1700000000000001"}`, name, size)
}

// content returns the content of a page.
func content(page *provider.Page) []string {
	var out []string
	for _, o := range page.Objects {
		out = append(out, fmt.Sprintf("%q %d %s %s", o.Key, o.Size, time.UnixMilli(o.ModTime).UTC().Format(time.RFC3339Nano), o.Tag))
	}
	for _, p := range page.Prefixes {
		out = append(out, fmt.Sprintf("prefix %q", p))
	}
	return out
}

func read(t testing.TB, body string, req provider.ListRequest) (*decoder, error) {
	t.Helper()
	w, some := newWindow(req)
	if !some {
		t.Fatal("an empty window")
	}
	d := &decoder{window: w, page: &provider.Page{}, least: w.from}
	return d, d.decode([]byte(body))
}

func TestPages(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		req   provider.ListRequest
		want  []string
		token string
	}{
		"empty": {body: `{"kind":"storage#objects"}`},
		"one": {
			body: `{"kind":"storage#objects","items":[` + item("a", "7") + `]}`,
			want: []string{`"a" 7 2026-01-02T03:04:05.678Z 1700000000000001`},
		},
		"as a person would write it": {
			body: "\n{ \"items\" : [ " + item("a", "0") + " ,\r\n\t" + item("b", "1") + " ] , \"nextPageToken\" : \"tok\" , \"kind\" : \"storage#objects\" }\n",
			want: []string{`"a" 0 2026-01-02T03:04:05.678Z 1700000000000001`, `"b" 1 2026-01-02T03:04:05.678Z 1700000000000001`}, token: "tok",
		},
		"fields that were not asked for": {
			body: `{"kind":"storage#objects","etag":null,"n":[1,-2.5e+10,0,0.1,true,false,null,{}, [] ],"items":[{"acl":[{"role":"OWNER"}],"metadata":{"name":"x","size":"9"},"size":"3","name":"a","generation":"1"}]}`,
			want: []string{`"a" 3 1970-01-01T00:00:00Z 1`},
		},
		"escapes": {
			body: `{"kind":"storage#objects","items":[{"name":"\u003ca\u003e\"\\\/\b\f\n\r\t\u00e9\ud83d\udd25é🔥","size":"1","generation":"1"}]}`,
			want: []string{`"<a>\"\\/\b\f\n\r\té🔥é🔥" 1 1970-01-01T00:00:00Z 1`},
		},
		"prefixes": {
			req:  provider.ListRequest{Delimiter: "/"},
			body: `{"kind":"storage#objects","prefixes":["a/","c/"],"items":[` + item("b", "1") + `]}`,
			want: []string{`"b" 1 2026-01-02T03:04:05.678Z 1700000000000001`, `prefix "a/"`, `prefix "c/"`},
		},
		"more than the window": {
			req:  provider.ListRequest{Start: keyspace.After("a"), End: "c"},
			body: `{"kind":"storage#objects","items":[` + item("a", "1") + "," + item("b", "1") + "," + item("c", "1") + `]}`,
			want: []string{`"b" 1 2026-01-02T03:04:05.678Z 1700000000000001`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := read(t, c.body, c.req)
			if err != nil {
				t.Fatal(err)
			}
			if got := content(d.page); !slices.Equal(got, c.want) || d.token != c.token {
				t.Errorf("got %q, token %q; want %q, %q", got, d.token, c.want, c.token)
			}
		})
	}
}

func TestPagesThatAreRefused(t *testing.T) {
	list := func(items ...string) string {
		return `{"kind":"storage#objects","items":[` + strings.Join(items, ",") + `]}`
	}
	for name, c := range map[string]struct {
		body string
		req  provider.ListRequest
		want error // nil is any
	}{
		"nothing":                   {body: "", want: errEmpty},
		"blanks":                    {body: " \n", want: errEmpty},
		"null":                      {body: "null", want: errNotAPage},
		"a list":                    {body: "[]", want: errNotAPage},
		"a web page":                {body: "<html>sign in</html>", want: errNotAPage},
		"any object":                {body: "{}", want: errNotAPage},
		"another kind":              {body: `{"kind":"storage#buckets"}`, want: errNotAPage},
		"a kind of another type":    {body: `{"kind":1}`},
		"something behind":          {body: `{"kind":"storage#objects"}{}`, want: errTrailing},
		"a zero byte behind":        {body: `{"kind":"storage#objects"}` + "\x00", want: errTrailing},
		"kind twice":                {body: `{"kind":"storage#objects","kind":"storage#objects"}`, want: errTwice},
		"items twice":               {body: `{"kind":"storage#objects","items":[],"items":[]}`, want: errTwice},
		"a name twice":              {body: list(`{"name":"a","name":"b","size":"1","generation":"1"}`), want: errTwice},
		"no name":                   {body: list(`{"size":"1","generation":"1"}`), want: errNoName},
		"an empty name":             {body: list(item("", "1")), want: errNoName},
		"no size":                   {body: list(`{"name":"a","generation":"1"}`), want: errNoSize},
		"no generation":             {body: list(`{"name":"a","size":"1"}`), want: errNoTag},
		"a size that is none":       {body: list(item("a", "-1")), want: errNumber},
		"a size that is too large":  {body: list(item("a", "9999999999999999999")), want: errNumber},
		"a size as a number":        {body: list(`{"name":"a","size":1,"generation":"1"}`)},
		"a generation that is none": {body: list(`{"name":"a","size":"1","generation":"x"}`), want: errNumber},
		"a time that is none":       {body: list(`{"name":"a","size":"1","generation":"1","updated":"yesterday"}`), want: errTime},
		"out of order":              {body: list(item("b", "1"), item("a", "1")), want: provider.ErrUnordered},
		"a name listed twice":       {body: list(item("a", "1"), item("a", "1")), want: provider.ErrUnordered},
		"before the start":          {body: list(item("a", "1")), req: provider.ListRequest{Start: "b"}, want: provider.ErrStartIgnored},
		"beside the prefix":         {body: list(item("b/x", "1")), req: provider.ListRequest{Prefix: "a/"}, want: errOutside},
		"prefixes not asked for":    {body: `{"kind":"storage#objects","prefixes":["a/"]}`, want: errUnfolded},
		"prefixes out of order":     {body: `{"kind":"storage#objects","prefixes":["b/","a/"]}`, req: provider.ListRequest{Delimiter: "/"}, want: provider.ErrUnordered},
		"a prefix without end":      {body: `{"kind":"storage#objects","prefixes":["a"]}`, req: provider.ListRequest{Delimiter: "/"}, want: errBadFolded},
		"a prefix before the start": {body: `{"kind":"storage#objects","prefixes":["a/"]}`, req: provider.ListRequest{Delimiter: "/", Start: "b"}, want: provider.ErrStartIgnored},
		"a prefix beside another": {
			body: `{"kind":"storage#objects","prefixes":["b/"]}`, req: provider.ListRequest{Delimiter: "/", Prefix: "a/"}, want: errOutside,
		},
		"no UTF-8":               {body: list(`{"name":"` + "\xff" + `","size":"1","generation":"1"}`)},
		"half a pair":            {body: list(`{"name":"\ud83d","size":"1","generation":"1"}`)},
		"the other half":         {body: list(`{"name":"\udd25","size":"1","generation":"1"}`)},
		"a pair of halves":       {body: list(`{"name":"\ud83d\ud83d","size":"1","generation":"1"}`)},
		"an unknown escape":      {body: list(`{"name":"\x41","size":"1","generation":"1"}`)},
		"a short escape":         {body: list(`{"name":"\u12","size":"1","generation":"1"}`)},
		"a bare line break":      {body: list("{\"name\":\"a\nb\",\"size\":\"1\",\"generation\":\"1\"}")},
		"a comma too much":       {body: list(item("a", "1"), "")},
		"a comma behind members": {body: `{"kind":"storage#objects",}`},
		"a comma missing":        {body: `{"kind":"storage#objects" "items":[]}`},
		"a comment":              {body: `{"kind":"storage#objects"/**/}`},
		"a name without quotes":  {body: `{kind:"storage#objects"}`},
		"NaN":                    {body: `{"kind":"storage#objects","n":NaN}`},
		"a number from zero":     {body: `{"kind":"storage#objects","n":01}`},
		"a number without end":   {body: `{"kind":"storage#objects","n":1.}`},
		"a number of hope":       {body: `{"kind":"storage#objects","n":1e}`},
		"deep":                   {body: `{"kind":"storage#objects","n":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := read(t, c.body, c.req)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %q, %v; want %v", content(d.page), err, c.want)
			}
		})
	}
}

// TestNoBeginningIsAPage checks that a page that was cut anywhere is refused.
func TestNoBeginningIsAPage(t *testing.T) {
	body := `{"kind":"storage#objects","nextPageToken":"t","prefixes":["x/"],"n":[1.5e3,true,null,{"a":"\u00e9"}],"items":[` + item("a", "1") + "," + item("b", "2") + `]}`
	for n := range body {
		if d, err := read(t, body[:n], provider.ListRequest{Delimiter: "/"}); err == nil {
			t.Fatalf("%q is taken for %q", body[:n], content(d.page))
		}
	}
}

// TestErrorsInPlaceOfPages are recognized under status 200.
func TestErrorsInPlaceOfPages(t *testing.T) {
	_, err := read(t, `{"error":{"code":503,"message":"quotes a secret","errors":[{"reason":"backendError"}]}}`, provider.ListRequest{})
	if e, ok := errors.AsType[*inPlace](err); !ok || e.status != 503 || e.reason != "backendError" || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	for _, body := range []string{`{"error":"no"}`, `{"error":[]}`, `{"error":{"code":"x"}}`} {
		if _, err := read(t, body, provider.ListRequest{}); err == nil {
			t.Errorf("%s is taken for a page", body)
		}
	}
}
