package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func destinationUpdateCommand(a *app) *cobra.Command {
	var (
		creds   credentialFlags
		fromEnv bool
	)
	cmd := &cobra.Command{
		Use: "update DESTINATION", Short: "Change the name, location or credentials of a destination", Args: positional(cobra.ExactArgs(1)),
		Long: `Change the properties that flags name. The id does not change. Verify the destination
again after a change of its location or credentials. --stem-rule knownSuffix makes files
orphans that are linked only because their key is the same up to the first dot: see
"by stem alone" in ` + "`firescan stats DESTINATION`" + ` before.

Credentials are replaced if one of their flags or --credentials-from-env is set; for flags
that are not set, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN apply as in
` + "`destination add`.",
		Example: `  firescan destination update production --credentials-from-env && firescan destination verify production
  firescan destination update production --name primary --path backups/prod-v2`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := a.findDestination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			change := map[string]any{}
			f := cmd.Flags()
			for _, name := range []string{"name", "bucket", "path", "region", "endpoint", "stem-rule"} {
				if f.Changed(name) {
					field := strings.ReplaceAll(name, "stem-rule", "stemRule")
					change[field], _ = f.GetString(name) // all are strings
				}
			}
			if fromEnv || creds != (credentialFlags{}) {
				var d destination
				if err := c.call(cmd.Context(), http.MethodGet, destinationPath(id, ""), nil, &d); err != nil {
					return err
				}
				if change["credentials"], err = creds.read(a, d.Type); err != nil {
					return err
				}
			}
			if len(change) == 0 {
				return usagef("nothing to change: give at least one flag")
			}
			return show(cmd.Context(), a, c, http.MethodPut, destinationPath(id, ""), change, func(destination) error {
				_, err := fmt.Fprintln(a.out, "updated")
				return err
			})
		},
	}
	a.jsonFlag(a.orgFlags(cmd))
	f := cmd.Flags()
	f.String("name", "", "new name")
	new(location).addFlags(f)
	creds.add(f)
	f.BoolVar(&fromEnv, "credentials-from-env", false, "replace the access key with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN")
	return cmd
}
