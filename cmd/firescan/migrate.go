package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) destinationMigrate() *cobra.Command {
	return a.reads(a.ofOrg(&cobra.Command{
		Use: "migrate FROM TO", Short: "Move what uses a destination to another one: schedules and PITR configurations", Args: takes(cobra.ExactArgs(2)),
		Long: `Move the schedules and PITR configurations of a destination to another one, all or none.

Backups stay where they are, and what the configurations wrote so far stays linked. Nothing
uses the destination then, so that it can be removed.`,
		Example: `  firescan destination migrate production archive && firescan destination remove production`,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, from, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c, to, err := a.destination(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			type moved struct {
				Schedules int `json:"schedulesUpdated"`
				Pitrs     int `json:"pitrConfigsUpdated"`
			}
			body := map[string]string{"targetStorageId": to}
			return showData(cmd.Context(), a, c, http.MethodPost, destinationPath(from, "/migrate"), body, func(m moved) error {
				_, err := fmt.Fprintf(a.out, "moved %d schedules and %d PITR configurations\n", m.Schedules, m.Pitrs)
				return err
			})
		},
	}))
}
