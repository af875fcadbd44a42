package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) destinationUpdate() *cobra.Command {
	var (
		with    credentialFlags
		fromEnv bool
	)
	cmd := &cobra.Command{
		Use: "update DESTINATION", Short: "Change a destination: its name, place or credentials", Args: takes(cobra.ExactArgs(1)),
		Long: `Change what is given, and leave the rest as it is. The id stays, and with it all that
names the destination. Verify it again when its place or its credentials have changed.

Credentials are replaced when one of their flags is given, or --credentials-from-env; what
has no flag comes from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as in ` + "`destination add`.",
		Example: `  firescan destination update production --credentials-from-env && firescan destination verify production
  firescan destination update production --name primary --path backups/prod-v2`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			change := map[string]any{}
			f := cmd.Flags()
			for _, name := range []string{"name", "bucket", "path", "region", "endpoint"} {
				if f.Changed(name) {
					change[name], _ = f.GetString(name) // it is a string
				}
			}
			if fromEnv || with != (credentialFlags{}) {
				var d destination
				if err := c.call(cmd.Context(), http.MethodGet, destinationPath(id, ""), nil, &d); err != nil {
					return err
				}
				if change["credentials"], err = with.credentials(a, d.Type); err != nil {
					return err
				}
			}
			if len(change) == 0 {
				return usagef("nothing is to be changed: give a flag")
			}
			return a.show(cmd.Context(), c, http.MethodPut, destinationPath(id, ""), change, func(*destination) error {
				_, err := fmt.Fprintln(a.out, "updated")
				return err
			})
		},
	}
	a.reads(a.ofOrg(cmd))
	f := cmd.Flags()
	f.String("name", "", "new name")
	new(place).flags(f)
	with.flags(f)
	f.BoolVar(&fromEnv, "credentials-from-env", false, "replace the access key by that of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	return cmd
}
