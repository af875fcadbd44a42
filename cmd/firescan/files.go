package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// A file is a file of a bucket in the response of the API.
type file struct {
	Path, Size, Type, BackupID, ProjectName string
	LastModified                            *time.Time
	IsOrphan                                bool
}

// A filesPage is a page of the list of files.
type filesPage struct {
	Data struct {
		Files                 []file
		Total, OrphanCount    uint64
		TotalSize, OrphanSize string
	}
	Meta struct {
		LastSyncAt         *time.Time
		NextCursor         string
		NeedsSync, IsFresh bool
	}
}

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
			q, err := page.query(a.json)
			if err != nil {
				return err
			}
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for name, value := range map[string]string{"type": typ, "prefix": prefix, "minAge": minimum} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if orphans {
				q.Set("orphansOnly", "true")
			}
			return a.listFiles(cmd, c, destinationPath(id, "/files?"), q, page.all)
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
func (a *app) listFiles(cmd *cobra.Command, c *client, path string, q url.Values, all bool) error {
	if a.json {
		return a.pipe(cmd, c, path+q.Encode())
	}
	for first := true; ; first = false {
		raw, err := c.raw(cmd.Context(), http.MethodGet, path+q.Encode(), nil)
		if err != nil {
			return err
		}
		var page filesPage
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("decode the list of files: %w", err)
		}
		a.printFiles(&page, first)
		next := page.Meta.NextCursor
		if !all || next == "" {
			a.filesFooter(&page, next)
			return nil
		}
		q.Set("cursor", next)
	}
}

// printFiles prints rows of fixed widths, so that the columns of all pages align.
func (a *app) printFiles(page *filesPage, header bool) {
	const row = "%-7s  %-6s  %8s  %-20s  %s\n"
	if header && len(page.Data.Files) > 0 {
		fmt.Fprintf(a.out, row, "TYPE", "LINK", "SIZE", "MODIFIED", "PATH")
	}
	for _, f := range page.Data.Files {
		link := "linked"
		if f.IsOrphan {
			link = "orphan"
		}
		fmt.Fprintf(a.out, row, f.Type, link, sizeText(f.Size), when(f.LastModified), pathText(f.Path))
	}
}

// filesFooter prints totals on standard error, apart from the list.
func (a *app) filesFooter(page *filesPage, next string) {
	d := &page.Data
	if page.Meta.LastSyncAt == nil {
		fmt.Fprintln(a.err, "The destination was never synced: run `firescan sync --watch`.")
		return
	}
	fmt.Fprintf(a.err, "%s files (%s) match, %s of them orphans (%s); synced %s\n",
		count(d.Total), sizeText(d.TotalSize), count(d.OrphanCount), sizeText(d.OrphanSize), when(page.Meta.LastSyncAt))
	a.moreFooter(next)
}
