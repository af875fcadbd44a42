package provider_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firescan/keyspace"
	"firescan/provider"
)

// unsorted is a bucket whose server lists keys out of order, by tokens alone. A
// token is the number of keys before it.
type unsorted struct {
	provider.Bucket
	pageSize int

	mu    sync.Mutex
	keys  []string
	pages int
	// token, when set, replaces the token of a page.
	token func(next string) string
	// fail, when set, fails a page.
	fail func(page int) error
	// unsupported has the provider say that it lists correctly.
	unsupported bool
}

func (u *unsorted) List(context.Context, provider.ListRequest, *provider.Page) error {
	return corrupt(provider.ErrStartIgnored)
}

func corrupt(cause error) error {
	return &provider.Error{Kind: provider.Corrupt, Op: "list", Err: &provider.Untrusted{Cause: cause}}
}

func (u *unsorted) ListSerial(_ context.Context, prefix, token string, page *provider.Page) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.unsupported {
		return "", errors.ErrUnsupported
	}
	page.Reset()
	u.pages++
	if u.fail != nil {
		if err := u.fail(u.pages); err != nil {
			return "", err
		}
	}
	at, _ := strconv.Atoi(token)
	end := min(at+u.pageSize, len(u.keys))
	for _, key := range u.keys[at:end] {
		if strings.HasPrefix(key, prefix) {
			page.Add([]byte(key), []byte("tag"), 1, 1)
		}
	}
	next := ""
	if end < len(u.keys) {
		next = strconv.Itoa(end)
	}
	if u.token != nil {
		next = u.token(next)
	}
	return next, nil
}

// newUnsorted returns a bucket of n keys, and the keys in order.
func newUnsorted(n int) (*unsorted, []string) {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf("dir-%02d/key-%06d", i%7, i))
	}
	slices.Sort(keys)
	u := &unsorted{pageSize: 100, keys: slices.Clone(keys)}
	slices.SortFunc(u.keys, func(a, b string) int { return cmp.Compare(hash(a), hash(b)) })
	return u, keys
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

func serial(u *unsorted) provider.Bucket {
	return provider.Serial(u, provider.NewSerialMemory(provider.MaxSerialMemory))
}

// listAll returns the keys of a request, over all of its pages.
func listAll(ctx context.Context, b provider.Bucket, req provider.ListRequest) (keys []string, err error) {
	var page provider.Page
	for {
		if err := b.List(ctx, req, &page); err != nil {
			return keys, err
		}
		for _, o := range page.Objects {
			keys = append(keys, string(o.Key))
		}
		if !page.More {
			return keys, nil
		}
		req.Start = page.Next
	}
}

// TestSerialServesRanges checks that ranges that are listed at the same time are served
// from one listing, each key once.
func TestSerialServesRanges(t *testing.T) {
	u, keys := newUnsorted(20_000)
	b := serial(u)
	cuts := []string{""}
	for i := 300; i < len(keys); i += 300 {
		cuts = append(cuts, keyspace.After(keys[i]))
	}
	found := make([][]string, len(cuts))
	began := time.Now()
	var group sync.WaitGroup
	for i, start := range cuts {
		req := provider.ListRequest{Start: start, Since: began}
		if i+1 < len(cuts) {
			req.End = cuts[i+1]
		}
		group.Go(func() {
			var err error
			if found[i], err = listAll(t.Context(), b, req); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := slices.Concat(found...); !slices.Equal(got, keys) {
		t.Errorf("%d keys listed, want %d", len(got), len(keys))
	}
	// One listing, and the first page of it for each stream that met the fault.
	if most := len(keys)/u.pageSize + len(cuts); u.pages > most {
		t.Errorf("%d pages requested, want at most %d", u.pages, most)
	}
	if !provider.IsSerial(b) {
		t.Error("not known to be serial")
	}
}

// TestSerialIsAsFreshAsRequested checks that a listing is never older than Since, or than
// the call without it.
func TestSerialIsAsFreshAsRequested(t *testing.T) {
	u, keys := newUnsorted(10)
	b := serial(u)
	list := func(since time.Time) int {
		t.Helper()
		got, err := listAll(t.Context(), b, provider.ListRequest{Since: since})
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	began := time.Now()
	if n := list(began); n != len(keys) {
		t.Fatalf("%d keys", n)
	}
	u.keys = append(u.keys, "new")
	if n := list(began); n != len(keys) {
		t.Errorf("%d keys since the start of the scan, want those of its listing", n)
	}
	if n := list(time.Time{}); n != len(keys)+1 {
		t.Errorf("%d keys now, want %d", n, len(keys)+1)
	}
	if n := list(began); n != len(keys) {
		t.Errorf("%d keys in the same scan after another call", n)
	}
	if n := list(time.Now()); n != len(keys)+1 {
		t.Errorf("%d keys in a later scan, want %d", n, len(keys)+1)
	}
}

// TestSerialListsNoMoreThanNeeded checks that a request for one key lists its prefix
// alone.
func TestSerialListsNoMoreThanNeeded(t *testing.T) {
	u, keys := newUnsorted(10)
	var asked []string
	b := provider.Serial(recorder{u, &asked}, provider.NewSerialMemory(1<<20))
	_ = b.List(t.Context(), provider.ListRequest{}, &provider.Page{})
	asked = nil
	for _, req := range []provider.ListRequest{
		{Start: keys[0], End: keyspace.After(keys[0])},
		{Prefix: "dir-0", Start: keys[0], End: keys[1]},
		{Prefix: "dir-03/"},
		{Start: "\u672b/a", End: "\u672c/b"},
		{Start: "b", End: "a"},
	} {
		if err := b.List(t.Context(), req, &provider.Page{}); err != nil {
			t.Error(err)
		}
	}
	common := keys[0][:keyspace.CommonPrefix(keys[0], keys[1])]
	if want := []string{keys[0], common, "dir-03/", ""}; !slices.Equal(asked, want) {
		t.Errorf("listed prefixes %q, want %q", asked, want)
	}
}

type recorder struct {
	provider.SerialLister
	asked *[]string
}

func (r recorder) ListSerial(ctx context.Context, prefix, token string, page *provider.Page) (string, error) {
	*r.asked = append(*r.asked, prefix)
	return r.SerialLister.ListSerial(ctx, prefix, token, page)
}

// TestSerialContinues checks that a listing that failed in the middle continues there.
func TestSerialContinues(t *testing.T) {
	u, keys := newUnsorted(1000)
	u.fail = func(page int) error {
		if page == 7 {
			return &provider.Error{Kind: provider.Unavailable, Op: "list"}
		}
		return nil
	}
	b := serial(u)
	began := time.Now()
	if _, err := listAll(t.Context(), b, provider.ListRequest{Since: began}); provider.KindOf(err) != provider.Unavailable {
		t.Errorf("error %v", err)
	}
	got, err := listAll(t.Context(), b, provider.ListRequest{Since: began})
	if err != nil || !slices.Equal(got, keys) {
		t.Errorf("%d keys, %v", len(got), err)
	}
	if u.pages != 12 { // the first page, five pages, one that failed, five pages
		t.Errorf("%d pages requested", u.pages)
	}
}

// TestSerialRefusesBrokenLists checks that a listing that cannot be complete is an error.
func TestSerialRefusesBrokenLists(t *testing.T) {
	for name, c := range map[string]struct {
		change func(u *unsorted)
		kind   provider.Kind
		reason string
	}{
		"the same token": {func(u *unsorted) { u.token = func(string) string { return "100" } }, provider.Corrupt, "same token"},
		"a key twice":    {func(u *unsorted) { u.keys[900] = u.keys[10] }, provider.Corrupt, "a key twice"},
		"empty pages without end": {func(u *unsorted) {
			n := 0
			u.keys = nil
			u.token = func(string) string { n++; return fmt.Sprint("x", n) }
		}, provider.Corrupt, "empty pages"},
		"a token that expires": {func(u *unsorted) {
			u.fail = func(page int) error {
				if page%5 == 0 {
					return &provider.Error{Kind: provider.Invalid, Op: "list"}
				}
				return nil
			}
		}, provider.Corrupt, "its own token"},
		"the provider denies it": {func(u *unsorted) {
			u.fail = func(page int) error {
				if page > 2 {
					return &provider.Error{Kind: provider.Denied, Op: "list", Reason: "denied"}
				}
				return nil
			}
		}, provider.Denied, "denied"},
		"a provider without fault": {func(u *unsorted) { u.unsupported = true }, provider.Corrupt, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u, _ := newUnsorted(1000)
			c.change(u)
			_, err := listAll(t.Context(), serial(u), provider.ListRequest{Since: time.Now()})
			if provider.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %v, want kind %v and %q", err, c.kind, c.reason)
			}
		})
	}
}

// TestSerialSurvivesOneLostToken checks that a listing begins again when a token is lost,
// as when its object was deleted.
func TestSerialSurvivesOneLostToken(t *testing.T) {
	u, keys := newUnsorted(1000)
	u.fail = func(page int) error {
		if page == 5 {
			return &provider.Error{Kind: provider.Invalid, Op: "list"}
		}
		return nil
	}
	got, err := listAll(t.Context(), serial(u), provider.ListRequest{Since: time.Now()})
	if err != nil || !slices.Equal(got, keys) {
		t.Errorf("%d keys, %v", len(got), err)
	}
}

// TestSerialMemoryIsBounded checks that all listings together keep to the bound, and
// release what they had after a while.
func TestSerialMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := provider.NewSerialMemory(150_000) // one list of 1,000 keys, but not two
		var buckets []provider.Bucket
		for range 2 {
			u, _ := newUnsorted(1000)
			buckets = append(buckets, provider.Serial(u, memory))
		}
		list := func(b provider.Bucket, since time.Time) error {
			_, err := listAll(t.Context(), b, provider.ListRequest{Since: since})
			return err
		}
		if err := list(buckets[0], time.Now()); err != nil {
			t.Fatal(err)
		}
		err := list(buckets[1], time.Now())
		if provider.KindOf(err) != provider.Invalid || !strings.Contains(err.Error(), "146 KiB") {
			t.Errorf("error %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := list(buckets[1], time.Now()); err != nil {
			t.Errorf("after the first listing expired: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := list(buckets[0], time.Time{}); err != nil {
			t.Errorf("a listing for one call: %v", err)
		}
		if err := list(buckets[0], time.Now()); err != nil {
			t.Errorf("after a listing for one call: %v", err)
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestSerialMemoryOfPages: pages take memory, too, so a list of one object after some hundred
// empty pages, and that again and again, has an end.
func TestSerialMemoryOfPages(t *testing.T) {
	u, _ := newUnsorted(0)
	u.token = func(string) string { return fmt.Sprint("x", u.pages) }
	u.fail = func(page int) error {
		if u.keys = nil; page%900 == 0 {
			u.keys = []string{fmt.Sprint("key-", page)}
		}
		if page > 20_000 {
			return &provider.Error{Kind: provider.Denied, Op: "list", Reason: "the list has no end"}
		}
		return nil
	}
	err := provider.Serial(u, provider.NewSerialMemory(1_000_000)).List(t.Context(), provider.ListRequest{}, &provider.Page{})
	if provider.KindOf(err) != provider.Invalid || !strings.Contains(err.Error(), "memory") {
		t.Errorf("error %v", err)
	}
}

// TestSerialPassesOn checks that a bucket without fault is only passed on.
func TestSerialPassesOn(t *testing.T) {
	var lists atomic.Int64
	b := provider.Serial(provider.Retry(scripted(func(context.Context) error { lists.Add(1); return nil }), provider.RetryOptions{}),
		provider.NewSerialMemory(1))
	if err := list(t.Context(), b); err != nil || lists.Load() != 1 || provider.IsSerial(b) {
		t.Errorf("%d lists, %v", lists.Load(), err)
	}
}

// TestSerialGivesUp checks that a call ends with its context while another one lists.
func TestSerialGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, _ := newUnsorted(10)
		b := serial(u)
		_ = b.List(t.Context(), provider.ListRequest{}, &provider.Page{})
		release := make(chan struct{})
		u.fail = func(int) error { <-release; return nil }
		since := time.Now()
		go func() { _ = b.List(t.Context(), provider.ListRequest{Since: since}, &provider.Page{}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.List(ctx, provider.ListRequest{Since: since}, &provider.Page{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		close(release)
		synctest.Wait()
		time.Sleep(2 * time.Minute)
	})
}
