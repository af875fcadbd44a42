package main

import (
	"fmt"

	"github.com/spf13/pflag"
)

// maxPage is the maximum page size of the API.
const maxPage = 1000

// pageFlags are the flags of commands that list page by page.
type pageFlags struct {
	limit  int64
	cursor string
	all    bool
}

func (p *pageFlags) add(f *pflag.FlagSet) {
	f.Int64Var(&p.limit, "limit", 100, "maximum number of rows, 1 to 1000")
	f.StringVar(&p.cursor, "cursor", "", "cursor of an earlier list, to continue after it")
	f.BoolVar(&p.all, "all", false, "all rows, without a limit")
}

// size returns the size of a page. The JSON of a whole list is a single response, which the
// node streams when there is no limit (0).
func (p *pageFlags) size(asJSON bool) (int64, error) {
	switch {
	case p.all && asJSON:
		return 0, nil
	case p.all:
		return maxPage, nil
	case p.limit < 1 || p.limit > maxPage:
		return 0, usagef("--limit is %d: give 1 to %d, or --all", p.limit, maxPage)
	}
	return p.limit, nil
}

// moreFooter prints how to list the rest, if there is more.
func (a *app) moreFooter(next string) {
	if next != "" {
		fmt.Fprintf(a.err, "There are more: --cursor %s, or --all\n", next)
	}
}
