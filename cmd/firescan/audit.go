package main

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

// maxAuditPage is the maximum page size of the audit.
const maxAuditPage = 100

func auditCommand(a *app) *cobra.Command {
	var (
		page                 pageFlags
		params               apiclient.ListAuditParams
		destination, dataDir string
		ndjson, cluster      bool
	)
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who changed what", Args: positional(cobra.NoArgs),
		Long: `Show who changed what, newest first: requests that changed something or were refused, and what
deletions did to each file (file.deleted). Needs the role admin or owner. Frequent requests of a
kind, such as single writes of the feed and failed logins, are counted in one row.

With --cluster, show the entries of all organizations and of the cluster, such as failed logins and
removed nodes.

` + strings.Replace(needsRoot, "Needs", "--cluster needs", 1),
		Example: `  firescan audit --since 24h
  firescan audit --action token --outcome failure
  firescan audit --path backups/prod.backup --json | jq -r '.data.entries[].who'
  firescan audit --since 30d --ndjson > audit.ndjson
  firescan audit --cluster --action login`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			limit, err := page.size(false)
			switch {
			case err != nil:
				return err
			case a.json && page.all:
				return usagef("--json prints one page: give --ndjson for all entries")
			case cluster && destination != "":
				return usagef("give either --cluster or --destination")
			}
			params.Limit, params.Cursor = min(limit, maxAuditPage), page.cursor
			if ndjson {
				params.Limit, params.Format = 0, "ndjson"
			}
			list := func(c *client) error { return a.listAudit(cmd.Context(), c, &params, &page) }
			if cluster {
				return a.asRoot(dataDir, list)
			}
			if destination != "" {
				var c *client
				if c, params.DestinationID, err = a.findDestination(cmd.Context(), destination); err != nil {
					return err
				}
				return list(c)
			}
			c, err := a.orgClient()
			if err != nil {
				return err
			}
			return list(c)
		},
	}
	dataDirFlag(a.jsonFlag(a.orgFlags(cmd)), &dataDir)
	f := cmd.Flags()
	f.StringVar(&params.Actor, "actor", "", "only requests with the token of this id")
	f.StringVar(&params.Action, "action", "", "only this action, such as token.create, or the first part of several: token")
	f.StringVar(&params.Outcome, "outcome", "", "only this outcome: success, failure, or the code of an error")
	f.StringVar(&destination, "destination", "", "only entries of this destination")
	f.StringVar(&params.Path, "path", "", "only deletions of this file")
	f.StringVar(&params.Since, "since", "", "only later entries: a time, or how long ago, such as 24h or 7d")
	f.StringVar(&params.Until, "until", "", "only earlier entries: a time, or how long ago")
	f.BoolVar(&cluster, "cluster", false, "entries of the cluster and of all organizations")
	f.BoolVar(&ndjson, "ndjson", false, "print all entries as JSON, one per line")
	page.add(f)
	return cmd
}

// listAudit prints entries up to the limit, or all.
func (a *app) listAudit(ctx context.Context, c *client, params *apiclient.ListAuditParams, page *pageFlags) error {
	if a.json || params.Format != "" {
		r, err := c.unlimited().ListAudit(ctx, params)
		return pipe(a, r, err)
	}
	for shown := int64(0); ; {
		got, err := apiclient.Decode(c.api().ListAudit(ctx, params))
		if err != nil {
			return err
		}
		if err := printAudit(a.out, got.Data.Entries, shown == 0); err != nil {
			return err
		}
		shown += int64(len(got.Data.Entries))
		params.Cursor = got.Meta.NextCursor
		if params.Cursor == "" || !page.all && shown >= page.limit {
			a.moreFooter(params.Cursor)
			return nil
		}
		if !page.all {
			params.Limit = min(page.limit-shown, maxAuditPage)
		}
	}
}

// printAudit prints a page, with columns as wide as its rows need.
func printAudit(w io.Writer, list []apiclient.AuditEntry, header bool) error {
	head := ""
	if header && len(list) > 0 {
		head = "TIME ACTION OUTCOME ACTOR ADDRESS ON DETAILS"
	}
	return table(w, head, func(row func(...any)) {
		for i := range list {
			e := &list[i]
			on := strings.Join(slices.DeleteFunc([]string{e.OrganizationID, e.DestinationID, e.Target}, func(id string) bool { return id == "" }), " ")
			row(when(e.At), pathText(e.Action), pathText(e.Outcome), pathText(orDash(e.Who)), orDash(e.Address), pathText(orDash(on)), orDash(auditDetails(e)))
		}
	})
}

// auditDetails returns how often something was done, and how much.
func auditDetails(e *apiclient.AuditEntry) string {
	var parts []string
	if e.Count > 1 {
		parts = append(parts, count(e.Count)+" times")
	}
	if n := len(e.Files); n > 0 {
		parts = append(parts, count(int64(n))+" files")
	}
	for _, what := range slices.Sorted(maps.Keys(e.Numbers)) {
		parts = append(parts, count(e.Numbers[what])+" "+what)
	}
	return strings.Join(parts, ", ")
}
