package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "token", Short: "Make tokens for users and services"})
	cmd.AddCommand(a.tokenCreateCommand())
	return cmd
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var in struct {
		Org  string `json:"organizationId"`
		Role string `json:"role"`
		Name string `json:"name"`
	}
	var dataDir string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token and print it, and nothing else", Args: takes(cobra.NoArgs),
		Long: `Make a token for an organisation and print it, and nothing else: it is shown only now.

Roles: viewer reads; member also creates destinations and syncs; admin and owner also
delete; service writes the catalog of backups (firescan import).

It takes the root token: FIRESCAN_ROOT_TOKEN, FIRESCAN_TOKEN, or the file in --data-dir.`,
		Example: `  export FIRESCAN_ORG=acme
  export FIRESCAN_TOKEN=$(firescan token create --role owner)
  firescan import --token "$(firescan token create --org acme --role service)" backups.ndjson`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var made struct{ Token string }
			if err := a.asRoot(dataDir, func(c *client) error {
				return c.call(cmd.Context(), http.MethodPost, "/api/v1/admin/tokens", in, &made)
			}); err != nil {
				return err
			}
			fmt.Fprintln(a.out, made.Token)
			return nil
		},
	}
	dataDirFlag(a.talks(cmd), &dataDir)
	f := cmd.Flags()
	f.StringVar(&in.Org, "org", "", "organisation that the token is for (FIRESCAN_ORG)")
	f.StringVar(&in.Role, "role", "", "viewer, member, admin, owner or service")
	f.StringVar(&in.Name, "name", "", "what the token is for")
	return cmd
}
