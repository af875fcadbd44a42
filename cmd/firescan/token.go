package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const takesRoot = "It takes the root token: FIRESCAN_ROOT_TOKEN, FIRESCAN_TOKEN, or the file in --data-dir."

func (a *app) tokenCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "token", Short: "Make, list and revoke the tokens of users and services",
		Example: "  firescan token create --org acme --role owner",
	})
	cmd.AddCommand(a.tokenCreateCommand(), a.tokenListCommand(), a.tokenRevokeCommand())
	return cmd
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var in struct {
		Org       string     `json:"organizationId"`
		Role      string     `json:"role"`
		Name      string     `json:"name"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	}
	var dataDir, expiresIn string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token and print it, and nothing else", Args: takes(cobra.NoArgs),
		Long: `Make a token for an organisation and print it, and nothing else: it is shown only now.

Roles: viewer reads; member also creates destinations and syncs; admin and owner also
delete; service writes the catalog of backups (firescan import).

` + takesRoot,
		Example: `  export FIRESCAN_ORG=acme
  export FIRESCAN_TOKEN=$(firescan token create --role owner)
  firescan import --token "$(firescan token create --org acme --role service)" backups.ndjson`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if expiresIn != "" {
				span, err := timeSpan(expiresIn)
				if err != nil {
					return usagef("--expires-in is %q: give a time span such as 12h or 90d", expiresIn)
				}
				at := time.Now().Add(span).UTC()
				in.ExpiresAt = &at
			}
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
	f.StringVar(&expiresIn, "expires-in", "", "how long the token is good for (12h, 90d); for ever by default")
	return cmd
}

// timeSpan reads 90m, 12h or 90d.
func timeSpan(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

func (a *app) tokenListCommand() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the tokens of all organisations, without what is secret", Args: takes(cobra.NoArgs),
		Long: "List the tokens of all organisations, without what is secret. " + takesRoot,
		Example: `  firescan token list
  firescan token list --json | jq -r '.data[] | select(.name == "ci") | .id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var raw []byte
			if err := a.asRoot(dataDir, func(c *client) (err error) {
				raw, err = c.raw(cmd.Context(), http.MethodGet, "/api/v1/admin/tokens", nil)
				return err
			}); err != nil {
				return err
			}
			return printData(a, raw, func(all []tokenView) error {
				return table(a.out, "TOKEN ORGANISATION ROLE CREATED EXPIRES NAME", func(row func(...any)) {
					for _, t := range all {
						row(t.ID, orDash(t.OrganizationID), t.Role, when(t.CreatedAt), when(t.ExpiresAt), pathText(orDash(t.Name)))
					}
				})
			})
		},
	}
	return dataDirFlag(a.reads(a.talks(cmd)), &dataDir)
}

// tokenView is a token as the API lists it.
type tokenView struct {
	ID, OrganizationID, Role, Name string
	CreatedAt, ExpiresAt           *time.Time
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use: "revoke TOKEN-ID", Short: "Make a token worthless, at once", Args: takes(cobra.ExactArgs(1)),
		Long:    "Make a token worthless, at once. Its id is in `firescan token list`. " + takesRoot,
		Example: "  firescan token revoke tok_01m86gqawnd9677dhgzggntypt",
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.HasPrefix(args[0], "fsk_") {
				return usagef("that is a token, not its id, which is in `firescan token list`")
			}
			if err := a.asRoot(dataDir, func(c *client) error {
				return c.call(cmd.Context(), http.MethodDelete, "/api/v1/admin/tokens/"+url.PathEscape(args[0]), nil, nil)
			}); err != nil {
				return err
			}
			fmt.Fprintln(a.out, "revoked")
			return nil
		},
	}
	return dataDirFlag(a.talks(cmd), &dataDir)
}
