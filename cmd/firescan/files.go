package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// file is a file of a bucket as the API shows it.
type file struct {
	Path, Size, Type, BackupID, ProjectName string
	LastModified                            *time.Time
	IsOrphan                                bool
}

// filesAnswer is the answer of the list of files.
type filesAnswer struct {
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

func (a *app) filesCommand() *cobra.Command {
	var (
		orphans, all                 bool
		typ, prefix, cursor, minimum string
		limit                        int
	)
	cmd := &cobra.Command{
		Use: "files DESTINATION", Short: "List the files of a destination", Args: takes(cobra.ExactArgs(1)),
		Example: `  firescan files production --orphans
  firescan files production --type backup --prefix backups/2024/ --limit 20
  firescan files production --all --json | jq -r '.data.files[].path'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usagef("--limit is %d: give 1 or more, or --all", limit)
			}
			c, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			q := url.Values{}
			for name, value := range map[string]string{"type": typ, "prefix": prefix, "cursor": cursor, "minAge": minimum} {
				if value != "" {
					q.Set(name, value)
				}
			}
			if orphans {
				q.Set("orphansOnly", "true")
			}
			if all && a.json {
				return a.pipe(cmd, c, destinationPath(id, "/files?")+q.Encode())
			}
			q.Set("limit", strconv.Itoa(limit))
			if all {
				q.Set("limit", "1000")
			}
			return a.files(cmd, c, id, q, all)
		},
	}
	a.reads(a.ofOrg(cmd))
	f := cmd.Flags()
	f.BoolVar(&orphans, "orphans", false, "only files that no backup needs")
	f.StringVar(&typ, "type", "", "only this type: backup, meta, auth, pitr or unknown")
	f.StringVar(&prefix, "prefix", "", "only paths that begin with this")
	f.StringVar(&minimum, "min-age", "", "only files last modified longer ago than this (24h)")
	f.IntVar(&limit, "limit", 100, "most files to list")
	f.StringVar(&cursor, "cursor", "", "go on where an earlier list ended")
	f.BoolVar(&all, "all", false, "list all files")
	return cmd
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

// files prints one page of files, or page after page.
func (a *app) files(cmd *cobra.Command, c *client, id string, q url.Values, all bool) error {
	for first := true; ; first = false {
		raw, err := c.raw(cmd.Context(), http.MethodGet, destinationPath(id, "/files?")+q.Encode(), nil)
		if err != nil {
			return err
		}
		if a.json {
			return a.printRaw(raw)
		}
		var page filesAnswer
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("the list of files is not understood: %w", err)
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

// printFiles prints rows of fixed widths, so that page joins page.
func (a *app) printFiles(page *filesAnswer, header bool) {
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

// filesFooter tells on the error stream, apart from the list, what it is a part of.
func (a *app) filesFooter(page *filesAnswer, next string) {
	d := &page.Data
	if page.Meta.LastSyncAt == nil {
		fmt.Fprintln(a.err, "The destination was never synced: run `firescan sync --watch`.")
		return
	}
	fmt.Fprintf(a.err, "%s files (%s) match, %s of them orphans (%s); synced %s\n",
		count(d.Total), sizeText(d.TotalSize), count(d.OrphanCount), sizeText(d.OrphanSize), when(page.Meta.LastSyncAt))
	if next != "" {
		fmt.Fprintf(a.err, "There are more: --cursor %s, or --all\n", next)
	}
}
