package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) clusterCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "cluster", Short: "See the cluster, remove nodes, rotate keys", Example: "  firescan cluster status"})
	var dataDir string
	status := &cobra.Command{
		Use: "status", Short: "List the nodes", Args: takes(cobra.NoArgs),
		Long: "List the nodes. " + takesRoot,
		Example: `  firescan cluster status
  firescan cluster status --json | jq '.data.nodes[] | select(.leader) | .id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var raw []byte
			if err := a.asRoot(dataDir, func(c *client) (err error) {
				raw, err = c.raw(cmd.Context(), http.MethodGet, "/api/v1/admin/cluster", nil)
				return err
			}); err != nil {
				return err
			}
			return printData(a, raw, a.printNodes)
		},
	}
	cmd.AddCommand(dataDirFlag(a.reads(a.talks(status)), &dataDir), a.removeNodeCommand(), a.rotateKeysCommand())
	return cmd
}

func (a *app) removeNodeCommand() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use: "remove NODE", Aliases: []string{"rm"}, Short: "Take a node out of the cluster for good", Args: takes(cobra.ExactArgs(1)),
		Long: `Take a node out of the cluster for good. One that runs stops; its shards move to the
others. A node that is only away keeps its place: restarting needs no command. ` + takesRoot,
		Example: "  firescan cluster remove n3",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asRoot(dataDir, func(c *client) error {
				return c.call(cmd.Context(), http.MethodDelete, "/api/v1/admin/cluster/"+url.PathEscape(args[0]), nil, nil)
			})
		},
	}
	return dataDirFlag(a.talks(cmd), &dataDir)
}

func (a *app) rotateKeysCommand() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use: "rotate-keys", Short: "Replace the key that credentials are encrypted with", Args: takes(cobra.NoArgs),
		Long: `Make a new key for the credentials of destinations and encrypt all of them anew.

Nothing is interrupted. The key before stays for what is being written in this moment; the
next rotation removes it: rotate twice when a key may have been seen. ` + takesRoot,
		Example: "  firescan cluster rotate-keys",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var done struct{ Destinations int }
			if err := a.asRoot(dataDir, func(c *client) error {
				return c.call(cmd.Context(), http.MethodPost, "/api/v1/admin/keys/rotate", nil, &done)
			}); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "key rotated; the credentials of %d destinations were encrypted anew\n", done.Destinations)
			return nil
		},
	}
	return dataDirFlag(a.talks(cmd), &dataDir)
}

// member is a node as the API lists it.
type member struct {
	ID, Address, State, Version string
	Leader, Voter               bool
	AppliedIndex                uint64
	Shards                      int
}

type nodesAnswer struct{ Nodes []member }

func (a *app) printNodes(data nodesAnswer) error {
	return table(a.out, "NODE ADDRESS STATE LEADER VOTER APPLIED SHARDS VERSION", func(row func(...any)) {
		for _, n := range data.Nodes {
			row(n.ID, orDash(n.Address), n.State, yes(n.Leader), yes(n.Voter), n.AppliedIndex, n.Shards, orDash(n.Version))
		}
	})
}
