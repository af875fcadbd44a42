package bucketserver

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// result is a list response, decoded by encoding/xml.
type result struct {
	Name, Prefix, StartAfter, Marker, NextMarker, NextContinuationToken, Delimiter, EncodingType string
	KeyCount, MaxKeys                                                                            int
	IsTruncated                                                                                  bool
	Contents                                                                                     []struct {
		Key, LastModified, ETag, StorageClass string
		Size                                  int64
	}
	CommonPrefixes []struct{ Prefix string }
}

func get(t rapid.TB, s http.Handler, query url.Values) result {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/bench-bucket?"+query.Encode(), nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", query, w.Code, w.Body)
	}
	if w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
		t.Fatalf("Content-Length %s of %d bytes", w.Header().Get("Content-Length"), w.Body.Len())
	}
	var r result
	if err := xml.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("GET %s: %v", query, err)
	}
	return r
}

// naive is a simple list of sorted keys.
func naive(keys []string, prefix, after, delimiter string) (objects, prefixes []string) {
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) || (after != "" && k <= after) {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			p := k[:len(prefix)+i+len(delimiter)]
			if !slices.Contains(prefixes, p) {
				prefixes = append(prefixes, p)
			}
			continue
		}
		objects = append(objects, k)
	}
	return objects, prefixes
}

// walk lists all pages, by token or by last key.
func walk(t rapid.TB, s http.Handler, q url.Values, byToken bool) (objects, prefixes []string) {
	t.Helper()
	for {
		r := get(t, s, q)
		if n := len(r.Contents) + len(r.CommonPrefixes); n > r.MaxKeys || q.Get("list-type") == "2" && n != r.KeyCount {
			t.Fatalf("page of %d with MaxKeys %d, KeyCount %d", n, r.MaxKeys, r.KeyCount)
		}
		for _, c := range r.Contents {
			objects = append(objects, decode(t, r, c.Key))
		}
		for _, p := range r.CommonPrefixes {
			prefixes = append(prefixes, decode(t, r, p.Prefix))
		}
		if !r.IsTruncated {
			return objects, prefixes
		}
		switch {
		case q.Get("list-type") != "2" && r.NextMarker != "":
			q.Set("marker", decode(t, r, r.NextMarker))
		case q.Get("list-type") != "2":
			q.Set("marker", objects[len(objects)-1])
		case byToken:
			q.Set("continuation-token", r.NextContinuationToken)
		default:
			q.Set("start-after", objects[len(objects)-1])
		}
	}
}

func decode(t rapid.TB, r result, key string) string {
	t.Helper()
	if r.EncodingType != "url" {
		return key
	}
	got, err := url.QueryUnescape(key)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// All pages of any list, of any page size, in V1 and V2, after puts and deletes, equal
// the result of the naive implementation.
func TestListsEqualTheNaiveOnes(t *testing.T) {
	for _, layout := range Layouts {
		t.Run(string(layout), func(t *testing.T) {
			k := mustKeys(t, layout, 200)
			computed := all(k)
			rapid.Check(t, func(t *rapid.T) {
				s := New(Options{Keys: k})
				live := map[string]bool{}
				for _, key := range computed {
					live[string(key)] = true
				}
				for range rapid.IntRange(0, 12).Draw(t, "changes") {
					key := rapid.OneOf(
						rapid.Map(nearKey(computed), func(b []byte) string { return strings.ToValidUTF8(string(b), "_") }),
						rapid.StringMatching(`[a-z]{1,8}/[ +%&"<>é\x01]{0,4}[a-z./]{0,5}`),
					).Draw(t, "changed")
					if key == "" {
						continue
					}
					if rapid.Bool().Draw(t, "put") {
						s.over.put(k, key, []byte("x"))
						live[key] = true
					} else {
						s.over.remove(k, key, ifMatch(""))
						delete(live, key)
					}
				}
				var keys []string
				for key := range live {
					keys = append(keys, key)
				}
				slices.Sort(keys)
				text := rapid.Map(nearKey(computed), func(b []byte) string { return strings.ToValidUTF8(string(b), "") })
				prefix, after := text.Draw(t, "prefix"), text.Draw(t, "after")
				if rapid.Bool().Draw(t, "whole") {
					prefix = ""
				}
				delimiter := rapid.SampledFrom([]string{"", "", "/", "0", ".b"}).Draw(t, "delimiter")
				if delimiter != "" {
					after = "" // S3 does not document the combination
				}
				q := url.Values{"prefix": {prefix}, "max-keys": {strconv.Itoa(rapid.IntRange(10, 200).Draw(t, "max"))}, "encoding-type": {"url"}}
				if delimiter != "" {
					q.Set("delimiter", delimiter)
				}
				byToken := delimiter != "" || rapid.Bool().Draw(t, "by token")
				if rapid.Bool().Draw(t, "v2") {
					q.Set("list-type", "2")
					if after != "" {
						q.Set("start-after", after)
					}
				} else if after != "" {
					q.Set("marker", after)
				}
				objects, prefixes := walk(t, s, q, byToken)
				wantObjects, wantPrefixes := naive(keys, prefix, after, delimiter)
				if !slices.Equal(objects, wantObjects) {
					t.Fatalf("objects %q\nwant %q", objects, wantObjects)
				}
				if !slices.Equal(prefixes, wantPrefixes) {
					t.Fatalf("prefixes %q\nwant %q", prefixes, wantPrefixes)
				}
			})
		})
	}
}

// The objects in the lists have the expected digest.
func TestListedObjectsMatchTheDigest(t *testing.T) {
	for _, layout := range Layouts {
		t.Run(string(layout), func(t *testing.T) {
			k := mustKeys(t, layout, 5_000)
			s := New(Options{Keys: k})
			want, err := k.Expect(Catalog{})
			if err != nil {
				t.Fatal(err)
			}
			var got Digest
			q := url.Values{"list-type": {"2"}}
			for {
				r := get(t, s, q)
				for _, c := range r.Contents {
					got.Add([]byte(c.Key), c.Size, parseTime(t, c.LastModified), []byte(strings.Trim(c.ETag, `"`)))
				}
				if !r.IsTruncated {
					break
				}
				q.Set("continuation-token", r.NextContinuationToken)
			}
			if got != want.Digest {
				t.Errorf("listed %+v, expected %+v", got, want.Digest)
			}
			if c := s.Counts(); c.Lists != 5 || c.Requests != 5 || c.Keys != 5_000 || c.Peak != 1 {
				t.Errorf("counts %+v", c)
			}
		})
	}
}

func TestListArguments(t *testing.T) {
	s := New(Options{Keys: mustKeys(t, Flat, 3000), PageSize: 500})
	for query, want := range map[string]int{
		"list-type=2":                            500,
		"list-type=2&max-keys=0":                 0,
		"list-type=2&max-keys=7":                 7,
		"list-type=2&max-keys=99999":             500,
		"":                                       500,
		"prefix=nothing":                         0,
		"list-type=2&start-after=zzz":            0,
		"list-type=2&start-after=zzz&prefix=zzz": 0,
	} {
		q, _ := url.ParseQuery(query)
		if r := get(t, s, q); len(r.Contents) != want || (want == 0) == r.IsTruncated {
			t.Errorf("%s: %d keys, truncated %v; want %d", query, len(r.Contents), r.IsTruncated, want)
		}
	}
	for _, query := range []string{"max-keys=many", "max-keys=-1", "list-type=2&continuation-token=*", "encoding-type=morse"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/bench-bucket?"+query, nil))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "<Code>InvalidArgument</Code>") {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

func ExampleServer() {
	keys, err := NewKeys(Flat, 1_000_000_000)
	if err != nil {
		panic(err)
	}
	s := New(Options{Keys: keys})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/bench-bucket?list-type=2&max-keys=2&start-after=backups/production/bkp_8", nil))
	var r result
	_ = xml.Unmarshal(w.Body.Bytes(), &r)
	for _, c := range r.Contents {
		fmt.Println(c.Key)
	}
	// Output:
	// backups/production/bkp_80000005ea6f9e17.backup
	// backups/production/bkp_80000005ea6f9e17.meta
}

func TestTimeAndTagFormats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unix := rapid.Int64Range(0, 4e9).Draw(t, "unix")
		if got, want := string(appendTime([]byte("x"), unix)), "x"+time.Unix(unix, 0).UTC().Format(timeLayout); got != want {
			t.Fatalf("%d is formatted as %s, want %s", unix, got, want)
		}
		tag := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "tag"))
		if got, want := string(appendTag([]byte("x"), &tag)), fmt.Sprintf("x%x", tag); got != want {
			t.Fatalf("%v is formatted as %s, want %s", tag, got, want)
		}
	})
}
