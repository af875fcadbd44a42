package main

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// destinationTotals is the answer of a destination's statistics.
type destinationTotals struct {
	TotalFiles, LinkedFiles, OrphanFiles uint64
	TotalSize, LinkedSize, OrphanSize    string
	ByType                               map[string]struct {
		Count uint64
		Size  string
	}
}

// orgTotals is the answer of an organisation's statistics.
type orgTotals struct {
	Destinations []struct {
		ID, Name, TotalSize, OrphanSize string
		TotalFiles, OrphanFiles         uint64
	}
	Totals struct {
		TotalFiles, OrphanFiles uint64
		TotalSize, OrphanSize   string
	}
	LastFullSyncAt, NextScheduledSyncAt *time.Time
}

func (a *app) statsCommand() *cobra.Command {
	return a.reads(a.ofOrg(&cobra.Command{
		Use: "stats [DESTINATION]", Short: "Count files and orphans, of a destination or of all", Args: takes(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				c, err := a.client()
				if err != nil {
					return err
				}
				return showData(cmd.Context(), a, c, http.MethodGet, "/api/v1/storage/stats", nil, a.printOrgTotals)
			}
			c, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return showData(cmd.Context(), a, c, http.MethodGet, destinationPath(id, "/files/stats"), nil, a.printTotals)
		},
	}))
}

func (a *app) printOrgTotals(s orgTotals) error {
	return table(a.out, "DESTINATION NAME FILES SIZE ORPHANS ORPHAN-SIZE", func(row func(...any)) {
		for _, d := range s.Destinations {
			row(d.ID, d.Name, count(d.TotalFiles), sizeText(d.TotalSize), count(d.OrphanFiles), sizeText(d.OrphanSize))
		}
		row("total", "", count(s.Totals.TotalFiles), sizeText(s.Totals.TotalSize), count(s.Totals.OrphanFiles), sizeText(s.Totals.OrphanSize))
	})
}

func (a *app) printTotals(s destinationTotals) error {
	return table(a.out, "WHAT FILES SIZE", func(row func(...any)) {
		for _, t := range []string{"backup", "meta", "auth", "pitr", "unknown"} {
			if c, ok := s.ByType[t]; ok {
				row(t, count(c.Count), sizeText(c.Size))
			}
		}
		row("total", count(s.TotalFiles), sizeText(s.TotalSize))
		row("linked", count(s.LinkedFiles), sizeText(s.LinkedSize))
		row("orphans", count(s.OrphanFiles), sizeText(s.OrphanSize))
	})
}

func (a *app) backupsCommand() *cobra.Command {
	var (
		missing bool
		limit   int
	)
	cmd := &cobra.Command{
		Use: "backups DESTINATION", Short: "List the backup records of a destination", Args: takes(cobra.ExactArgs(1)),
		Example: `  firescan backups production --missing`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if missing {
				q.Set("missing", "true")
			}
			return showData(cmd.Context(), a, c, http.MethodGet, destinationPath(id, "/backups?")+q.Encode(), nil, a.printBackups)
		},
	}
	a.reads(a.ofOrg(cmd))
	cmd.Flags().BoolVar(&missing, "missing", false, "only those whose file was not in the bucket at the last sync")
	cmd.Flags().IntVar(&limit, "limit", 100, "most records to list")
	return cmd
}

type backupList struct {
	Backups []struct {
		ID, ProjectName, ProjectID, Status, StoragePath string
		Size                                            int64
		CreatedAt                                       *time.Time
	}
}

func (a *app) printBackups(l backupList) error {
	return table(a.out, "BACKUP PROJECT STATUS SIZE CREATED PATH", func(row func(...any)) {
		for _, b := range l.Backups {
			project := b.ProjectName
			if project == "" {
				project = b.ProjectID
			}
			row(b.ID, orDash(project), b.Status, bytesText(b.Size), when(b.CreatedAt), pathText(b.StoragePath))
		}
	})
}
