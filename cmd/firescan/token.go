package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
	"firescan/node"
)

func tokenCommand(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "token", Short: "Create, list and revoke API tokens",
		Example: "  firescan token create --org acme --role owner",
	})
	cmd.AddCommand(tokenCreateCommand(a), tokenListCommand(a), tokenRevokeCommand(a), tokenRecoverCommand(a))
	return cmd
}

func tokenCreateCommand(a *app) *cobra.Command {
	var in apiclient.CreateTokenJSONRequestBody
	var dataDir, role, expiresIn string
	cmd := &cobra.Command{
		Use: "create", Short: "Create a token and print it", Args: positional(cobra.NoArgs),
		Long: `Create a token for an organization and print it, and nothing else. It is not shown again.

Roles: viewer reads; member also creates, edits and verifies destinations and starts
syncs; admin and owner also delete and migrate; service writes backup records (firescan
import). Without an organization, metrics reads /metrics of the nodes, and root creates
another root token.

` + needsRoot,
		Example: `  export FIRESCAN_ORG=acme
  export FIRESCAN_TOKEN=$(firescan token create --role owner)
  firescan token create --role metrics > metrics.token
  firescan import --token "$(firescan token create --org acme --role service)" backups.ndjson`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if expiresIn != "" {
				lifetime, err := parseDays(expiresIn)
				if err != nil {
					return usagef("--expires-in is %q: give a duration such as 12h or 90d", expiresIn)
				}
				in.ExpiresAt = time.Now().Add(lifetime).UTC()
			}
			in.Role = apiclient.Role(role)
			return a.asRoot(dataDir, func(c *client) error {
				made, err := apiclient.Decode(c.api().CreateToken(cmd.Context(), in))
				if err == nil {
					fmt.Fprintln(a.out, made.Data.Token)
				}
				return err
			})
		},
	}
	dataDirFlag(a.connectionFlags(cmd), &dataDir)
	f := cmd.Flags()
	f.StringVar(&in.OrganizationID, "org", "", "organization of the token")
	f.StringVar(&role, "role", "", "role of the token: viewer, member, admin, owner, service, metrics or root")
	f.StringVar(&in.Name, "name", "", "purpose of the token, shown in lists")
	f.StringVar(&expiresIn, "expires-in", "", "lifetime of the token, such as 12h or 90d (default: unlimited)")
	return cmd
}

// parseDays is time.ParseDuration with days: 90d.
func parseDays(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

func tokenListCommand(a *app) *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the tokens of all organizations, without secrets", Args: positional(cobra.NoArgs),
		Long: "List the tokens of all organizations, without secrets.\n\n" + needsRoot,
		Example: `  firescan token list
  firescan token list --json | jq -r '.data[] | select(.name == "ci") | .id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asRoot(dataDir, func(c *client) error {
				r, err := c.api().ListTokens(cmd.Context(), nil)
				return show(a, r, err, func(all *apiclient.TokensReply) error { return printTokens(a.out, all.Data) })
			})
		},
	}
	return dataDirFlag(a.jsonFlag(a.connectionFlags(cmd)), &dataDir)
}

func printTokens(w io.Writer, all []apiclient.Token) error {
	return table(w, "TOKEN ORGANIZATION ROLE CREATED EXPIRES NAME", func(row func(...any)) {
		for _, t := range all {
			row(t.ID, orDash(t.OrganizationID), t.Role, when(t.CreatedAt), when(t.ExpiresAt), pathText(orDash(t.Name)))
		}
	})
}

func tokenRevokeCommand(a *app) *cobra.Command {
	var (
		dataDir   string
		confirmed bool
	)
	cmd := &cobra.Command{
		Use: "revoke TOKEN-ID", Short: "Revoke a token, effective immediately", Args: positional(cobra.ExactArgs(1)),
		Long: "Revoke a token, effective immediately, after showing it and asking for confirmation.\n" +
			"`firescan token list` shows the ids.\n\n" + needsRoot,
		Example: `  firescan token revoke tok_01m86gqawnd9677dhgzggntypt
  firescan token revoke tok_01m86gqawnd9677dhgzggntypt --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.HasPrefix(args[0], "fsk_") {
				return usagef("the argument is a token, not an id: `firescan token list` shows the ids")
			}
			if err := a.asRoot(dataDir, func(c *client) error {
				all, err := apiclient.Decode(c.api().ListTokens(cmd.Context(), nil))
				if err != nil {
					return err
				}
				tokens := slices.DeleteFunc(all.Data, func(t apiclient.Token) bool { return t.ID != args[0] })
				if len(tokens) == 0 {
					return fmt.Errorf("no token %q: `firescan token list` shows all tokens", args[0])
				}
				if err := printTokens(a.err, tokens); err != nil {
					return err
				}
				if err := a.confirm(question{text: "Revoke the token?", undone: "nothing was revoked"}, confirmed); err != nil {
					return err
				}
				_, err = apiclient.Decode(c.api().DeleteToken(cmd.Context(), args[0]))
				return err
			}); err != nil {
				return err
			}
			fmt.Fprintln(a.out, "revoked")
			return nil
		},
	}
	yesFlag(cmd.Flags(), &confirmed, "revoke")
	return dataDirFlag(a.connectionFlags(cmd), &dataDir)
}

func tokenRecoverCommand(a *app) *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use: "recover", Short: "Make a new root token for a node that is stopped", Args: positional(cobra.NoArgs),
		Long: `Make a new root token when none is left: it is written to <data-dir>/root.token. The node
of the directory must be stopped, and makes it the root token of the cluster at its next
start, in place of the one of the first start. Other tokens remain.`,
		Example: `  systemctl stop firescan
  firescan token recover --data-dir /var/lib/firescan
  systemctl start firescan`,
		RunE: func(*cobra.Command, []string) error {
			file, err := node.RecoverRootToken(dataDir)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "a new root token is in %s; start the node to make it valid\n", file)
			return nil
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "./data", "data directory of the node")
	return cmd
}
