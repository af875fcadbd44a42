package main

import (
	"fmt"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

func destinationLinkedCommand(a *app) *cobra.Command {
	return a.jsonFlag(a.orgFlags(&cobra.Command{
		Use: "linked DESTINATION", Short: "List the schedules and PITR configurations that use a destination", Args: positional(cobra.ExactArgs(1)),
		Long: `List the schedules and PITR configurations that use a destination, and count its backup
records. A destination in use cannot be removed: see ` + "`firescan destination migrate`.",
		Example: `  firescan destination linked production
  firescan destination linked production --json | jq .data.backupsCount`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.api().LinkedResources(cmd.Context(), id, nil)
			return show(a, r, err, func(r *apiclient.LinkedReply) error {
				l := &r.Data
				fmt.Fprintf(a.err, "%s backup records\n", count(l.BackupsCount))
				return table(a.out, "KIND ID PROJECT ENABLED NAME", func(row func(...any)) {
					for _, s := range l.Schedules {
						row("schedule", s.ID, pathText(orDash(s.ProjectID)), yes(s.Enabled), pathText(orDash(s.Name)))
					}
					for _, p := range l.PitrConfigurations {
						row("pitr", p.ID, pathText(orDash(p.ProjectID)), yes(p.Enabled), "-")
					}
				})
			})
		},
	}))
}
