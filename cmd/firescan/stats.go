package main

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

func statsCommand(a *app) *cobra.Command {
	return a.jsonFlag(a.orgFlags(&cobra.Command{
		Use: "stats [DESTINATION]", Short: "Show file and orphan totals of one or all destinations", Args: positional(cobra.MaximumNArgs(1)),
		Example: `  firescan stats
  firescan stats production --json | jq .data.orphanSize`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				c, err := a.orgClient()
				if err != nil {
					return err
				}
				r, err := c.api().StorageStats(cmd.Context(), nil)
				return show(a, r, err, a.printOrgTotals)
			}
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.api().FileStats(cmd.Context(), id, nil)
			return show(a, r, err, a.printTotals)
		},
	}))
}

func (a *app) printOrgTotals(r *apiclient.StorageStatsReply) error {
	s := &r.Data
	shared := 0
	var failed []string
	if err := table(a.out, "DESTINATION NAME FILES SIZE ORPHANS ORPHAN-SIZE SYNCED", func(row func(...any)) {
		for _, d := range s.Destinations {
			name := pathText(d.Name)
			if d.CountedIn != "" {
				shared++
				name += " *"
			}
			synced := "never"
			if !d.LastSyncAt.IsZero() {
				synced = humanize.Time(d.LastSyncAt)
			}
			if d.LastSyncError.Message != "" {
				synced += ", the last sync failed"
				failed = append(failed, fmt.Sprintf("%s: the last sync failed: %s", pathText(d.Name), oneLine(d.LastSyncError.Message)))
			}
			row(d.ID, name, count(d.TotalFiles), sizeText(d.TotalSize), count(d.OrphanFiles), sizeText(d.OrphanSize), synced)
		}
		row("total", "", count(s.Totals.TotalFiles), sizeText(s.Totals.TotalSize), count(s.Totals.OrphanFiles), sizeText(s.Totals.OrphanSize), "")
	}); err != nil {
		return err
	}
	if shared > 0 {
		fmt.Fprintln(a.out, "* lies within another destination; the total counts its files once")
	}
	for _, line := range failed {
		fmt.Fprintln(a.err, line)
	}
	printFeed(a.err, &s.Feed)
	return nil
}

func (a *app) printTotals(r *apiclient.FileStatsReply) error {
	s := &r.Data
	return table(a.out, "WHAT FILES SIZE", func(row func(...any)) {
		for _, t := range []string{"backup", "meta", "auth", "pitr", "unknown"} {
			if c, ok := s.ByType[t]; ok {
				row(t, count(c.Count), sizeText(c.Size))
			}
		}
		row("total", count(s.TotalFiles), sizeText(s.TotalSize))
		row("linked", count(s.LinkedFiles), sizeText(s.LinkedSize))
		if s.LinkedByStemFiles > 0 {
			row("  by stem alone", count(s.LinkedByStemFiles), sizeText(s.LinkedByStemSize))
		}
		row("orphans", count(s.OrphanFiles), sizeText(s.OrphanSize))
	})
}
