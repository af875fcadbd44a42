package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

func filesCommand(a *app) *cobra.Command {
	var (
		page                 pageFlags
		orphans              bool
		typ, prefix, minimum string
	)
	cmd := &cobra.Command{
		Use: "files DESTINATION", Short: "List the files of a destination", Args: positional(cobra.ExactArgs(1)),
		Example: `  firescan files production --orphans
  firescan files production --type backup --prefix backups/2024/ --limit 20
  firescan files delete production backups/2023/old.backup
  firescan files production --all --json | jq -r '.data.files[].path'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, err := page.size(a.json)
			if err != nil {
				return err
			}
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.listFiles(cmd.Context(), c, id, &apiclient.ListFilesParams{
				Type: apiclient.FileType(typ), Prefix: prefix, MinAge: minimum, OrphansOnly: orphans, Limit: limit, Cursor: page.cursor,
			}, page.all)
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	f := cmd.Flags()
	f.BoolVar(&orphans, "orphans", false, "only files that no backup needs")
	f.StringVar(&typ, "type", "", "only files of this type: backup, meta, auth, pitr or unknown")
	f.StringVar(&prefix, "prefix", "", "only paths with this prefix")
	f.StringVar(&minimum, "min-age", "", "minimum time since the last modification, such as 24h or 30d")
	page.add(f)
	cmd.AddCommand(filesDeleteCommand(a))
	return cmd
}

// listFiles prints one page of files, or all pages.
func (a *app) listFiles(ctx context.Context, c *client, id string, params *apiclient.ListFilesParams, all bool) error {
	if a.json {
		r, err := c.unlimited().ListFiles(ctx, id, params)
		return pipe(a, r, err)
	}
	for first := true; ; first = false {
		page, err := apiclient.Decode(c.api().ListFiles(ctx, id, params))
		if err != nil {
			return err
		}
		a.printFiles(page.Data.Files, first)
		params.Cursor = page.Meta.NextCursor
		if !all || params.Cursor == "" {
			a.filesFooter(page)
			return nil
		}
	}
}

// printFiles prints rows of fixed widths, so that the columns of all pages align.
func (a *app) printFiles(files []apiclient.File, header bool) {
	const row = "%-7s  %-6s  %8s  %-20s  %s\n"
	if header && len(files) > 0 {
		fmt.Fprintf(a.out, row, "TYPE", "LINK", "SIZE", "MODIFIED", "PATH")
	}
	for _, f := range files {
		link := "linked"
		if f.IsOrphan {
			link = "orphan"
		}
		fmt.Fprintf(a.out, row, f.Type, link, sizeText(f.Size), when(f.LastModified), pathText(f.Path))
	}
}

// filesFooter prints totals on standard error, apart from the list.
func (a *app) filesFooter(page *apiclient.FilesReply) {
	d := &page.Data
	if page.Meta.LastSyncAt.IsZero() {
		fmt.Fprintln(a.err, "The destination was never synced: run `firescan sync --watch`.")
		return
	}
	fmt.Fprintf(a.err, "%s files (%s) match, %s of them orphans (%s); synced %s\n",
		count(d.Total), sizeText(d.TotalSize), count(d.OrphanCount), sizeText(d.OrphanSize), when(page.Meta.LastSyncAt))
	a.moreFooter(page.Meta.NextCursor)
}
