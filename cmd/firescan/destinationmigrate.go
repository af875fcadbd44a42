package main

import (
	"fmt"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

func destinationMigrateCommand(a *app) *cobra.Command {
	return a.jsonFlag(a.orgFlags(&cobra.Command{
		Use: "migrate FROM TO", Short: "Move schedules and PITR configurations to another destination", Args: positional(cobra.ExactArgs(2)),
		Long: `Move all schedules and PITR configurations of a destination to another one, atomically.

Backup records stay, and files that the configurations wrote so far stay linked. After the
migration the destination is unused and can be removed.`,
		Example: `  firescan destination migrate production archive && firescan destination remove production --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, from, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c, to, err := a.findDestination(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			r, err := c.api().Migrate(cmd.Context(), from, apiclient.MigrateJSONRequestBody{TargetStorageID: to})
			return show(a, r, err, func(m *apiclient.MigratedReply) error {
				_, err := fmt.Fprintf(a.out, "moved %d schedules and %d PITR configurations\n", m.Data.SchedulesUpdated, m.Data.PitrConfigsUpdated)
				return err
			})
		},
	}))
}
