package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

func backupsCommand(a *app) *cobra.Command {
	var (
		page    pageFlags
		missing bool
	)
	cmd := &cobra.Command{
		Use: "backups DESTINATION", Short: "List the backup records of a destination", Args: positional(cobra.ExactArgs(1)),
		Example: `  firescan backups production --missing
  firescan backups delete production bkp_2023 --with-files
  firescan backups production --missing --all --json | jq -r '.data.backups[].id'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, err := page.size(a.json)
			if err != nil {
				return err
			}
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.listBackups(cmd.Context(), c, id, &apiclient.ListBackupsParams{Missing: missing, Limit: limit, Cursor: page.cursor}, page.all)
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	f := cmd.Flags()
	f.BoolVar(&missing, "missing", false, "only backups with a file that the last sync did not find or did not look for")
	page.add(f)
	cmd.AddCommand(backupsDeleteCommand(a))
	return cmd
}

// listBackups prints one page of records, or all pages.
func (a *app) listBackups(ctx context.Context, c *client, id string, params *apiclient.ListBackupsParams, all bool) error {
	if a.json {
		r, err := c.unlimited().ListBackups(ctx, id, params)
		return pipe(a, r, err)
	}
	for first := true; ; first = false {
		page, err := apiclient.Decode(c.api().ListBackups(ctx, id, params))
		if err != nil {
			return err
		}
		if err := printBackups(a.out, page.Data.Backups, first); err != nil {
			return err
		}
		params.Cursor = page.Meta.NextCursor
		if !all || params.Cursor == "" {
			if params.Missing {
				fmt.Fprintf(a.err, "%s backups have missing files", count(page.Data.MissingCount))
				if n := page.Data.NotLookedForCount; n > 0 {
					fmt.Fprintf(a.err, ", and %s have files where no sync has looked", count(n))
				}
				fmt.Fprintf(a.err, " (%s)\n", bytesText(page.Data.TotalSize))
			} else {
				fmt.Fprintf(a.err, "%s backups (%s)\n", count(page.Data.TotalCount), bytesText(page.Data.TotalSize))
			}
			a.moreFooter(params.Cursor)
			return nil
		}
	}
}

// printBackups prints a page, with columns as wide as its rows need.
func printBackups(w io.Writer, list []apiclient.Backup, header bool) error {
	head := ""
	if header && len(list) > 0 {
		head = "BACKUP PROJECT STATUS SIZE CREATED PATH"
		if list[0].Missing != nil || list[0].NotLookedFor != nil {
			head = "BACKUP PROJECT STATUS SIZE CREATED STATE FILES"
		}
	}
	return table(w, head, func(row func(...any)) {
		for _, b := range list {
			project := b.ProjectName
			if project == "" {
				project = b.ProjectID
			}
			cells := []any{b.ID, pathText(orDash(project)), pathText(b.Status), bytesText(b.Size), when(b.CreatedAt)}
			switch {
			case b.Missing != nil:
				row(append(cells, "missing", pathText(strings.Join(b.Missing, " ")))...)
			case b.NotLookedFor != nil:
				row(append(cells, "not-looked-for", pathText(strings.Join(b.NotLookedFor, " ")))...)
			default:
				row(append(cells, pathText(b.StoragePath))...)
			}
		}
	})
}
