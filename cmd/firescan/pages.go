package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxPage is how many rows the API answers at once.
const maxPage = 1000

// pageFlags are the flags of lists that may be long.
func pageFlags(f *pflag.FlagSet, limit *int, cursor *string, all *bool) {
	f.IntVar(limit, "limit", 100, "most rows to list, up to 1000")
	f.StringVar(cursor, "cursor", "", "go on where an earlier list ended")
	f.BoolVar(all, "all", false, "list all of them")
}

// pageQuery asks for a page, or with all for the largest one. As JSON all of a list is
// one answer, which the node streams when there is no limit.
func pageQuery(limit int, all, asJSON bool) (url.Values, error) {
	switch {
	case all && asJSON:
		return url.Values{}, nil
	case all:
		limit = maxPage
	case limit < 1 || limit > maxPage:
		return nil, usagef("--limit is %d: give 1 to %d, or --all", limit, maxPage)
	}
	return url.Values{"limit": {strconv.Itoa(limit)}}, nil
}

// pipe prints an answer of any size as it comes.
func (a *app) pipe(cmd *cobra.Command, c *client, path string) error {
	answer, err := c.stream(cmd.Context(), http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	if _, err := io.Copy(a.out, answer); err != nil {
		return fmt.Errorf("the list was cut short: %w", err)
	}
	return nil
}

// moreFooter tells how to see the rest of a list, when there is one.
func (a *app) moreFooter(next string) {
	if next != "" {
		fmt.Fprintf(a.err, "There are more: --cursor %s, or --all\n", next)
	}
}
