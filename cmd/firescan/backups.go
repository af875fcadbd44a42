package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A backupsPage is a page of the list of backup records.
type backupsPage struct {
	Data struct {
		Backups               []backup
		TotalCount, TotalSize uint64

		MissingCount, NotLookedForCount uint64
	}
	Meta struct{ NextCursor string }
}

// A backup is a backup record in the response of the API.
type backup struct {
	ID, ProjectName, ProjectID, Status, StoragePath string
	Size                                            int64
	CreatedAt                                       *time.Time
	Missing, NotLookedFor                           []string
}

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
			q, err := page.query(a.json)
			if err != nil {
				return err
			}
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if missing {
				q.Set("missing", "true")
			}
			return a.listBackups(cmd, c, destinationPath(id, "/backups?"), q, page.all)
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
func (a *app) listBackups(cmd *cobra.Command, c *client, path string, q url.Values, all bool) error {
	if a.json {
		return a.pipe(cmd, c, path+q.Encode())
	}
	for first := true; ; first = false {
		raw, err := c.raw(cmd.Context(), http.MethodGet, path+q.Encode(), nil)
		if err != nil {
			return err
		}
		var page backupsPage
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("decode the list of backups: %w", err)
		}
		if err := printBackups(a.out, page.Data.Backups, first); err != nil {
			return err
		}
		next := page.Meta.NextCursor
		if !all || next == "" {
			if q.Has("missing") {
				fmt.Fprintf(a.err, "%s backups have missing files", count(page.Data.MissingCount))
				if n := page.Data.NotLookedForCount; n > 0 {
					fmt.Fprintf(a.err, ", and %s have files where no sync has looked", count(n))
				}
				fmt.Fprintf(a.err, " (%s)\n", bytesText(page.Data.TotalSize))
			} else {
				fmt.Fprintf(a.err, "%s backups (%s)\n", count(page.Data.TotalCount), bytesText(page.Data.TotalSize))
			}
			a.moreFooter(next)
			return nil
		}
		q.Set("cursor", next)
	}
}

// printBackups prints a page, with columns as wide as its rows need.
func printBackups(w io.Writer, list []backup, header bool) error {
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
