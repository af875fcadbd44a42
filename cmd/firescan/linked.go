package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func destinationLinkedCommand(a *app) *cobra.Command {
	type linked struct {
		Schedules []struct {
			ID, Name, ProjectID, CronExpression string
			Enabled                             bool
		}
		Pitrs []struct {
			ID, ProjectID, Status string
			Enabled               bool
		} `json:"pitrConfigurations"`
		BackupsCount uint64
	}
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
			return show(cmd.Context(), a, c, http.MethodGet, destinationPath(id, "/linked"), nil, func(l linked) error {
				fmt.Fprintf(a.err, "%s backup records\n", count(l.BackupsCount))
				return table(a.out, "KIND ID PROJECT ENABLED NAME", func(row func(...any)) {
					for _, s := range l.Schedules {
						row("schedule", s.ID, pathText(orDash(s.ProjectID)), yes(s.Enabled), pathText(orDash(s.Name)))
					}
					for _, p := range l.Pitrs {
						row("pitr", p.ID, pathText(orDash(p.ProjectID)), yes(p.Enabled), "-")
					}
				})
			})
		},
	}))
}
