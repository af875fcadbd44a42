package main

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/pflag"
)

// maxPage is the maximum page size of the API.
const maxPage = 1000

// pageFlags are the flags of commands that list page by page.
type pageFlags struct {
	limit  int
	cursor string
	all    bool
}

func (p *pageFlags) add(f *pflag.FlagSet) {
	f.IntVar(&p.limit, "limit", 100, "maximum number of rows, 1 to 1000")
	f.StringVar(&p.cursor, "cursor", "", "cursor of an earlier list, to continue after it")
	f.BoolVar(&p.all, "all", false, "all rows, without a limit")
}

// query returns the parameters of the first page. The JSON of a whole list is a single
// response, which the node streams when there is no limit.
func (p *pageFlags) query(asJSON bool) (url.Values, error) {
	q := url.Values{}
	switch {
	case p.all && asJSON:
	case p.all:
		q.Set("limit", strconv.Itoa(maxPage))
	case p.limit < 1 || p.limit > maxPage:
		return nil, usagef("--limit is %d: give 1 to %d, or --all", p.limit, maxPage)
	default:
		q.Set("limit", strconv.Itoa(p.limit))
	}
	if p.cursor != "" {
		q.Set("cursor", p.cursor)
	}
	return q, nil
}

// moreFooter prints how to list the rest, if there is more.
func (a *app) moreFooter(next string) {
	if next != "" {
		fmt.Fprintf(a.err, "There are more: --cursor %s, or --all\n", next)
	}
}
