package gcs_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"firescan/provider"
	"firescan/provider/providertest"
)

// firebase behaves like the Storage emulator of firebase-tools 14 where that differs from
// Google: it ignores startOffset and endOffset, sorts names by UTF-16, has the next name
// for a token and begins again when it is gone, lists buckets at /b alone, reads no
// preconditions, and knows no testIamPermissions.
type firebase struct{ *google }

func (f firebase) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/storage/v1/b/")
	name, rest, _ := strings.Cut(path, "/")
	query := r.URL.Query()
	switch {
	case path == "/b":
		f.listBuckets(w)
	case path == "/storage/v1/b" && r.Method == http.MethodGet, rest == "iam/testPermissions":
		fail(w, http.StatusNotFound, "notFound", "Not Found")
	case rest == "o" && f.buckets[name] != nil:
		listByUTF16(w, query, f.buckets[name])
	default:
		query.Del("ifGenerationMatch")
		r.URL.RawQuery = query.Encode()
		f.storage(w, r)
	}
}

func listByUTF16(w http.ResponseWriter, query url.Values, bucket map[string]object) {
	prefix, delimiter := query.Get("prefix"), query.Get("delimiter")
	var names []string
	prefixes := map[string]bool{}
	for name := range bucket {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if cut := strings.Index(name[len(prefix):], delimiter); delimiter != "" && cut >= 0 {
			prefixes[name[:len(prefix)+cut+len(delimiter)]] = true
		} else {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareUTF16)
	names = names[max(0, slices.Index(names, query.Get("pageToken"))):]
	page := map[string]any{"kind": "storage#objects"}
	var most int
	_, _ = fmt.Sscan(query.Get("maxResults"), &most)
	if len(names) > most {
		page["nextPageToken"] = names[most]
		names = names[:most]
	}
	items := []object{}
	for _, name := range names {
		items = append(items, bucket[name])
	}
	page["items"] = items
	if len(prefixes) > 0 {
		page["prefixes"] = slices.SortedFunc(maps.Keys(prefixes), compareUTF16)
	}
	answer(w, page)
}

func compareUTF16(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

func openFirebase(t *testing.T) (provider.Account, string) {
	t.Helper()
	server := httptest.NewServer(firebase{withBucket()})
	t.Cleanup(server.Close)
	return providertest.Decorate(dial(t, server.URL, true), providertest.WithFallback), "bucket"
}

func TestConformanceFirebaseEmulator(t *testing.T) {
	providertest.Run(t, openFirebase, providertest.Quirks{IgnoresCondition: true, IgnoresBatchCondition: true, Unfit: func(key string) bool {
		return strings.ContainsAny(key, "\r\n")
	}})
}

// TestFirebaseEmulator checks that the fault is found before the first scan, and that the
// ranges of a scan have every name once.
func TestFirebaseEmulator(t *testing.T) {
	a, name := openFirebase(t)
	b := a.Bucket(name)
	names := []string{"\U00010000/astral", "\ue000/private", "\uffff"}
	for i := range 1200 {
		names = append(names, fmt.Sprintf("dir/key-%04d", i))
	}
	slices.Sort(names)
	for _, name := range names {
		if err := b.Put(t.Context(), name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if buckets, err := a.Buckets(t.Context()); err != nil || len(buckets) != 1 || buckets[0].Name != name {
		t.Errorf("buckets %v, %v", buckets, err)
	}
	if p, err := provider.Probe(t.Context(), b, ""); err != nil || p != (provider.Permissions{Read: true, Write: true, Delete: true}) {
		t.Errorf("permissions %+v, %v", p, err)
	}
	if fault, err := provider.CheckLists(t.Context(), b, ""); err != nil || !errors.Is(fault, provider.ErrStartIgnored) {
		t.Errorf("fault %v, error %v", fault, err)
	}
	var listed []string
	began := time.Now()
	for _, r := range [][2]string{{"", "dir/key-0500x"}, {"dir/key-0500x", "\ue000"}, {"\ue000", ""}} {
		var page provider.Page
		req := provider.ListRequest{Start: r[0], End: r[1], Since: began}
		for more := true; more; more, req.Start = page.More, page.Next {
			if err := b.List(t.Context(), req, &page); err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Objects {
				listed = append(listed, string(o.Key))
			}
		}
	}
	if !slices.Equal(listed, names) {
		t.Errorf("%d names listed, want %d", len(listed), len(names))
	}
}
