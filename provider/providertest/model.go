package providertest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"firescan/keyspace"
	"firescan/provider"
)

// answer is what a list of a range comes to, over all of its pages.
type answer struct {
	keys, prefixes []string
	// maybe are folded prefixes that the range cuts through: they may be listed or not.
	maybe   []string
	skipped int
}

// expect works out the response in the plainest way.
func expect(keys []string, req provider.ListRequest) answer {
	var a answer
	for _, key := range keys {
		if !strings.HasPrefix(key, req.Prefix) {
			continue
		}
		inside := key >= req.Start && (req.End == "" || key < req.End)
		if req.Delimiter != "" {
			if at := strings.Index(key[len(req.Prefix):], req.Delimiter); at >= 0 {
				folded := key[:len(req.Prefix)+at+len(req.Delimiter)]
				if inside {
					a.prefixes = append(a.prefixes, folded)
				}
				if folded < req.Start || req.End != "" && keyspace.PrefixEnd(folded) > req.End {
					a.maybe = append(a.maybe, folded)
				}
				continue
			}
		}
		if inside {
			a.keys = append(a.keys, key)
		}
	}
	a.prefixes = slices.Compact(a.prefixes)
	a.maybe = slices.Compact(a.maybe)
	return a
}

// differs returns how got differs from what is expected; "" if it does not.
func (a answer) differs(got answer) string {
	if diff := apart("keys", got.keys, a.keys); diff != "" {
		return diff
	}
	sure := func(prefixes []string) []string {
		return slices.DeleteFunc(slices.Clone(prefixes), func(p string) bool { return slices.Contains(a.maybe, p) })
	}
	return apart("prefixes", sure(got.prefixes), sure(a.prefixes))
}

// apart returns where two lists differ; "" if they do not.
func apart(what string, got, want []string) string {
	if slices.Equal(got, want) {
		return ""
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	few := func(list []string) []string { return list[at:min(len(list), at+3)] }
	return fmt.Sprintf("%d %s of %d, apart from number %d on: got %.200q, want %.200q", len(got), what, len(want), at, few(got), few(want))
}

// walk lists a range to its end, page by page, and checks what every page promises.
func walk(ctx context.Context, b provider.Bucket, req provider.ListRequest) (answer, error) {
	var (
		got  answer
		page provider.Page
		last = req.Start
	)
	for pages := 0; ; pages++ {
		if err := b.List(ctx, req, &page); err != nil {
			return got, err
		}
		if n := len(page.Objects) + len(page.Prefixes) + page.Skipped; req.MaxKeys > 0 && n > req.MaxKeys {
			return got, fmt.Errorf("a page of %d entries, of at most %d", n, req.MaxKeys)
		}
		for _, o := range page.Objects {
			key := string(o.Key)
			if key < last {
				return got, fmt.Errorf("key %q after a start or key %q", key, last)
			}
			last = keyspace.After(key)
			got.keys = append(got.keys, key)
		}
		for _, p := range page.Prefixes {
			if n := len(got.prefixes); n > 0 && p <= got.prefixes[n-1] {
				return got, fmt.Errorf("prefix %q after %q", p, got.prefixes[n-1])
			}
			got.prefixes = append(got.prefixes, p)
		}
		got.skipped += page.Skipped
		switch {
		case !page.More:
			return got, nil
		case page.Next <= req.Start:
			return got, fmt.Errorf("the list does not go on: start %q, next %q", req.Start, page.Next)
		case page.Next < last:
			return got, fmt.Errorf("next %q lies before the page's last key, %q", page.Next, last)
		case req.End != "" && page.Next >= req.End:
			return got, fmt.Errorf("next %q lies behind the end %q", page.Next, req.End)
		case pages > 10_000:
			return got, fmt.Errorf("no end after %d pages", pages)
		}
		req.Start = page.Next
	}
}
