package provider

import (
	"sort"
	"strings"

	"firescan/keyspace"
)

// Fill fills the page for req from a whole list: n objects in ascending order of their
// keys, including folder placeholders. limit is the maximum number of entries of the
// page, which are objects, placeholders and folded prefixes, as at the providers.
func (p *Page) Fill(n int, at func(i int) Object, req ListRequest, limit int) {
	p.Reset()
	if req.MaxKeys > 0 {
		limit = min(limit, req.MaxKeys)
	}
	wanted := req.Range()
	// from is the first object from lo on whose key is not less.
	from := func(lo int, key string) int {
		return lo + sort.Search(n-lo, func(i int) bool { return string(at(lo+i).Key) >= key })
	}

	i := from(0, wanted.Start)
	for entries := 0; i < n; entries++ {
		o := at(i)
		key := string(o.Key)
		if !keyspace.BeforeEnd(key, wanted.End) {
			break
		}
		if entries == limit {
			p.More = true
			return
		}
		if folded, ok := fold(key, req); ok {
			p.Prefixes = append(p.Prefixes, folded)
			if p.Next = keyspace.PrefixEnd(folded); p.Next == "" {
				return // nothing can follow it
			}
			i = from(i, p.Next)
			continue
		}
		if Placeholder(key, o.Size) {
			p.Skipped++
		} else {
			p.Add(o.Key, o.Tag, o.Size, o.ModTime)
		}
		p.Next = keyspace.After(key)
		i++
	}
	p.Next = ""
}

// fold returns the folded prefix that represents key in the response to req, if any.
func fold(key string, req ListRequest) (string, bool) {
	if req.Delimiter == "" {
		return "", false
	}
	at := strings.Index(key[len(req.Prefix):], req.Delimiter)
	if at < 0 {
		return "", false
	}
	return key[:len(req.Prefix)+at+len(req.Delimiter)], true
}
