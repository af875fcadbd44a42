package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// backupsAnswer is the answer of the list of backup records.
type backupsAnswer struct {
	Data struct {
		Backups               []backup
		TotalCount, TotalSize uint64
	}
	Meta struct{ NextCursor string }
}

// backup is a backup record as the API shows it.
type backup struct {
	ID, ProjectName, ProjectID, Status, StoragePath string
	Size                                            int64
	CreatedAt                                       *time.Time
}

func (a *app) backupsCommand() *cobra.Command {
	var (
		missing, all bool
		limit        int
		cursor       string
	)
	cmd := &cobra.Command{
		Use: "backups DESTINATION", Short: "List the backup records of a destination", Args: takes(cobra.ExactArgs(1)),
		Example: `  firescan backups production --missing
  firescan backups production --missing --all --json | jq -r '.data.backups[].id'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := pageQuery(limit, all, a.json)
			if err != nil {
				return err
			}
			c, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if missing {
				q.Set("missing", "true")
			}
			if cursor != "" {
				q.Set("cursor", cursor)
			}
			return a.backups(cmd, c, destinationPath(id, "/backups?"), q, all)
		},
	}
	a.reads(a.ofOrg(cmd))
	f := cmd.Flags()
	f.BoolVar(&missing, "missing", false, "only those whose file was not in the bucket at the last sync")
	pageFlags(f, &limit, &cursor, &all)
	return cmd
}

// backups prints one page of records, or page after page.
func (a *app) backups(cmd *cobra.Command, c *client, path string, q url.Values, all bool) error {
	if a.json {
		return a.pipe(cmd, c, path+q.Encode())
	}
	for first := true; ; first = false {
		raw, err := c.raw(cmd.Context(), http.MethodGet, path+q.Encode(), nil)
		if err != nil {
			return err
		}
		var page backupsAnswer
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("the list of backups is not understood: %w", err)
		}
		if err := a.printBackups(page.Data.Backups, first); err != nil {
			return err
		}
		next := page.Meta.NextCursor
		if !all || next == "" {
			kind := "backups"
			if q.Has("missing") {
				kind = "backups miss their file"
			}
			fmt.Fprintf(a.err, "%s %s (%s)\n", count(page.Data.TotalCount), kind, bytesText(page.Data.TotalSize))
			a.moreFooter(next)
			return nil
		}
		q.Set("cursor", next)
	}
}

// printBackups prints a page, whose columns fit its own rows.
func (a *app) printBackups(list []backup, header bool) error {
	head := ""
	if header && len(list) > 0 {
		head = "BACKUP PROJECT STATUS SIZE CREATED PATH"
	}
	return table(a.out, head, func(row func(...any)) {
		for _, b := range list {
			project := b.ProjectName
			if project == "" {
				project = b.ProjectID
			}
			row(b.ID, pathText(orDash(project)), pathText(b.Status), bytesText(b.Size), when(b.CreatedAt), pathText(b.StoragePath))
		}
	})
}
