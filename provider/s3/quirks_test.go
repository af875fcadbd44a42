package s3_test

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"firescan/provider"
	"firescan/provider/providertest"
	"firescan/provider/s3"
)

// A quirk is something that a server does wrong when it lists.
type quirk string

const (
	onlyFirstVersion quirk = "knows only version 1 of lists"
	startInclusive   quirk = "includes start-after"
	startDecoded     quirk = "decodes start-after twice"
	startIgnored     quirk = "ignores start-after"
	unordered        quirk = "lists keys out of order"
	pagesOrdered     quirk = "orders each page but not the list"
)

var allQuirks = []quirk{onlyFirstVersion, startInclusive, startDecoded, startIgnored, unordered}

// faults are the quirks for which lists by ranges are impossible.
var faults = map[quirk]error{
	startDecoded: provider.ErrStartMoved, startIgnored: provider.ErrStartIgnored, unordered: provider.ErrUnordered,
	pagesOrdered: provider.ErrUnordered,
}

// mangler stands before a healthy server and lists as servers with a quirk do: it takes
// the whole list from the healthy one and makes the pages itself.
type mangler struct {
	healthy http.Handler
	quirk   quirk
	// pageSize is the maximum number of entries of a page; 0 is 1,000.
	pageSize int
	lists    atomic.Int64

	mu    sync.Mutex
	known map[string][]entry // whole lists, until something is written
}

// entry is an object or a folded prefix of a list.
type entry struct {
	Key, ETag, LastModified string
	Size                    int64
	Prefix                  string
}

func (e entry) name() string { return cmp.Or(e.Key, e.Prefix) }

func (m *mangler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("list-type") != "2" {
		if r.Method != http.MethodHead && r.Method != http.MethodGet {
			m.mu.Lock()
			m.known = map[string][]entry{}
			m.mu.Unlock()
		}
		m.healthy.ServeHTTP(w, r)
		return
	}
	m.lists.Add(1)
	if m.quirk == onlyFirstVersion {
		// What it does not know it does not look at.
		for _, name := range []string{"list-type", "start-after", "continuation-token"} {
			q.Del(name)
		}
		r.URL.RawQuery = q.Encode()
		m.healthy.ServeHTTP(w, r)
		return
	}
	whole, refused := m.all(r, url.Values{"list-type": {"2"}, "prefix": {q.Get("prefix")}, "delimiter": {q.Get("delimiter")}})
	if refused != nil {
		w.WriteHeader(refused.Code)
		_, _ = w.Write(refused.Body.Bytes())
		return
	}
	if m.quirk == unordered || m.quirk == pagesOrdered {
		slices.SortFunc(whole, func(x, y entry) int { return cmp.Compare(scrambled(x.name()), scrambled(y.name())) })
	}
	// A token is the number of entries before it.
	behind, _ := strconv.Atoi(q.Get("continuation-token"))
	entries := whole[behind:]
	if after := q.Get("start-after"); behind == 0 && after != "" && m.quirk != startIgnored {
		if m.quirk == startDecoded {
			after, _ = url.QueryUnescape(after)
		}
		entries = slices.DeleteFunc(slices.Clone(whole), func(e entry) bool {
			return e.name() < after || e.name() == after && m.quirk != startInclusive
		})
		behind = len(whole) - len(entries)
	}
	most, err := strconv.Atoi(q.Get("max-keys"))
	if err != nil {
		most = 1000
	}
	most = min(most, cmp.Or(m.pageSize, 1000))
	page := entries[:min(most, len(entries))]
	truncated := len(page) < len(entries)
	if m.quirk == pagesOrdered {
		slices.SortFunc(page, func(x, y entry) int { return cmp.Compare(x.name(), y.name()) })
	}
	fmt.Fprintf(w, `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>%t</IsTruncated>`, truncated)
	if truncated {
		fmt.Fprintf(w, `<NextContinuationToken>%d</NextContinuationToken>`, behind+len(page))
	}
	for _, e := range page {
		if e.Prefix != "" {
			fmt.Fprintf(w, `<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>`, url.QueryEscape(e.Prefix))
			continue
		}
		fmt.Fprintf(w, `<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>`, url.QueryEscape(e.Key), e.LastModified)
		_ = xml.EscapeText(w, []byte(e.ETag))
		fmt.Fprintf(w, `</ETag><Size>%d</Size></Contents>`, e.Size)
	}
	fmt.Fprint(w, `</ListBucketResult>`)
}

// all is the whole list that the healthy server has, in order, or its refusal.
func (m *mangler) all(r *http.Request, query url.Values) (entries []entry, refused *httptest.ResponseRecorder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := query.Encode()
	if known, ok := m.known[name]; ok {
		return slices.Clone(known), nil
	}
	for {
		request := r.Clone(r.Context())
		request.URL.RawQuery = query.Encode()
		recorded := httptest.NewRecorder()
		m.healthy.ServeHTTP(recorded, request)
		var answer struct {
			IsTruncated           bool
			NextContinuationToken string
			Contents              []entry
			CommonPrefixes        []entry
		}
		if err := xml.Unmarshal(recorded.Body.Bytes(), &answer); err != nil || recorded.Code != http.StatusOK {
			return nil, recorded
		}
		entries = append(append(entries, answer.Contents...), answer.CommonPrefixes...)
		if !answer.IsTruncated {
			slices.SortFunc(entries, func(x, y entry) int { return strings.Compare(x.name(), y.name()) })
			m.known[name] = slices.Clone(entries)
			return entries, nil
		}
		query.Set("continuation-token", answer.NextContinuationToken)
	}
}

func scrambled(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

// quirky opens a server with a quirk.
func quirky(t *testing.T, quirk quirk) (*mangler, provider.Account) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	m := &mangler{healthy: gofakes3.New(backend).Server(), quirk: quirk, known: map[string][]entry{}}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return m, providertest.Decorate(dial(t, server.URL, "id", "secret"), providertest.WithFallback)
}

func TestConformanceWithQuirks(t *testing.T) {
	for _, quirk := range append(allQuirks, "") {
		t.Run(string(quirk), func(t *testing.T) {
			open := func(t *testing.T) (provider.Account, string) {
				t.Helper()
				_, a := quirky(t, quirk)
				return a, "bucket"
			}
			providertest.Run(t, open, providertest.Quirks{IgnoresCondition: true, IgnoresBatchCondition: true, Unfit: func(key string) bool {
				return strings.ContainsAny(key, "\x01\x1f") || misfolded(key)
			}})
		})
	}
}

// TestCheckLists checks that a fault of the server is found before a scan, and that a
// scan lists every key with or without that check.
func TestCheckLists(t *testing.T) {
	for _, quirk := range append(allQuirks, pagesOrdered, "") {
		t.Run(string(quirk), func(t *testing.T) {
			m, a := quirky(t, quirk)
			m.pageSize = 100
			var keys []string
			for i := range 250 {
				keys = append(keys, fmt.Sprintf("dir/%%41%04d", i))
				if err := a.Bucket("bucket").Put(t.Context(), keys[i], []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			checked := a.Bucket("bucket")
			fault, err := provider.CheckLists(t.Context(), checked, "")
			if err != nil || !errors.Is(fault, faults[quirk]) {
				t.Errorf("check: fault %v, error %v; want fault %v", fault, err, faults[quirk])
			}
			unchecked := a.Bucket("bucket")
			if quirk == pagesOrdered {
				unchecked = checked // no page shows it
			}
			for _, b := range []provider.Bucket{checked, unchecked} {
				m.lists.Store(0)
				listed := listRanges(t, b, "dir/%410050", "dir/%410070", "dir/%410199x")
				if !slices.Equal(listed, keys) {
					t.Errorf("%d keys listed, want %d", len(listed), len(keys))
				}
				if serial := provider.IsSerial(b); serial != (faults[quirk] != nil) {
					t.Errorf("listed serially: %t", serial)
				}
				if n := m.lists.Load(); n > 60 {
					t.Errorf("%d requests for three pages of keys in four ranges", n)
				}
			}
		})
	}
}

// listRanges lists the ranges between the cuts at the same time, as scans do, and
// concatenates the keys.
func listRanges(t *testing.T, b provider.Bucket, cuts ...string) []string {
	t.Helper()
	cuts = append(cuts, "")
	found := make([][]string, len(cuts))
	var group sync.WaitGroup
	began := time.Now()
	for i, end := range cuts {
		req := provider.ListRequest{End: end, Since: began}
		if i > 0 {
			req.Start = cuts[i-1]
		}
		group.Go(func() {
			var page provider.Page
			for {
				if err := b.List(t.Context(), req, &page); err != nil {
					t.Errorf("%+v: %v", req, err)
					return
				}
				for _, o := range page.Objects {
					found[i] = append(found[i], string(o.Key))
				}
				if !page.More {
					return
				}
				req.Start = page.Next
			}
		})
	}
	group.Wait()
	return slices.Concat(found...)
}

// TestTransientDisorder checks that a page that is damaged once does not count as a fault
// of the server.
func TestTransientDisorder(t *testing.T) {
	var asked atomic.Int64
	a := answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case asked.Add(1) == 1:
			fmt.Fprint(w, page(false, "b", "a"))
		case r.URL.Query().Get("start-after") >= "b":
			fmt.Fprint(w, page(false))
		default:
			fmt.Fprint(w, page(false, "a", "b"))
		}
	})
	b := a.Bucket("bucket")
	if err := b.List(t.Context(), provider.ListRequest{}, &provider.Page{}); provider.KindOf(err) != provider.Corrupt {
		t.Errorf("error %v", err)
	}
	asked.Store(0)
	b = providertest.WithFallback(b)
	var p provider.Page
	if err := b.List(t.Context(), provider.ListRequest{}, &p); err != nil || len(p.Objects) != 2 || provider.IsSerial(b) {
		t.Errorf("%d objects, %v, serial: %t", len(p.Objects), err, provider.IsSerial(b))
	}
}

// TestNoFallbackForAmazon checks that Amazon's lists are never believed to be out of
// order.
func TestNoFallbackForAmazon(t *testing.T) {
	a := answeringAs(t, s3.Amazon, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page(false, "b", "a")) })
	b := providertest.WithFallback(a.Bucket("bucket"))
	if err := b.List(t.Context(), provider.ListRequest{}, &provider.Page{}); provider.KindOf(err) != provider.Corrupt {
		t.Errorf("list: %v", err)
	}
	if _, err := provider.CheckLists(t.Context(), b, ""); provider.KindOf(err) != provider.Corrupt || !errors.Is(err, provider.ErrUnordered) {
		t.Errorf("check: %v", err)
	}
}

// TestFoldersWithoutDelimiter has a server that folds keys without the delimiter at the end
// (rclone serve s3 before 1.69).
func TestFoldersWithoutDelimiter(t *testing.T) {
	folders := map[string][]string{"": {"a", "a-b", "archives"}, "a/": {"a/deep"}, "a-b/": nil, "archives/": nil, "a/deep/": nil}
	more := false
	serve := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>%t</IsTruncated>", more)
		if more {
			fmt.Fprint(w, "<NextContinuationToken>t</NextContinuationToken>")
		}
		for _, name := range folders[r.URL.Query().Get("prefix")] {
			fmt.Fprintf(w, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", url.QueryEscape(name))
		}
		fmt.Fprint(w, "</ListBucketResult>")
	}
	found, err := provider.Folders(t.Context(), answering(t, serve).Bucket("bucket"), provider.FolderLimits{})
	if want := []string{"a-b/", "a/", "a/deep/", "archives/"}; err != nil || found.Truncated || !slices.Equal(found.Folders, want) {
		t.Errorf("%+v, %v; want %q", found, err, want)
	}
	// Amazon does not do so, and a page that goes on does not show where.
	for _, flavor := range []*s3.Flavor{s3.Amazon, s3.Compatible} {
		more = flavor == s3.Compatible
		err := answeringAs(t, flavor, serve).Bucket("bucket").List(t.Context(), provider.ListRequest{Delimiter: "/"}, &provider.Page{})
		if provider.KindOf(err) != provider.Corrupt {
			t.Errorf("a page that is not clear: %v", err)
		}
	}
}
