package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	apiclient "firescan/api/client"
)

func clusterCommand(a *app) *cobra.Command {
	cmd := group(&cobra.Command{Use: "cluster", Short: "Show the cluster, remove nodes, rotate keys and the secret", Example: "  firescan cluster status"})
	var dataDir string
	status := &cobra.Command{
		Use: "status", Short: "List the nodes", Args: positional(cobra.NoArgs),
		Long: "List the nodes.\n\n" + needsRoot,
		Example: `  firescan cluster status
  firescan cluster status --json | jq '.data.nodes[] | select(.leader) | .id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asRoot(dataDir, func(c *client) error {
				r, err := c.api().ClusterStatus(cmd.Context())
				return show(a, r, err, func(all *apiclient.ClusterReply) error { return printNodes(a.out, all.Data.Nodes) })
			})
		},
	}
	cmd.AddCommand(dataDirFlag(a.jsonFlag(a.connectionFlags(status)), &dataDir), removeNodeCommand(a), rotateKeysCommand(a),
		rotateSecretCommand(a))
	return cmd
}

func removeNodeCommand(a *app) *cobra.Command {
	var (
		dataDir   string
		confirmed bool
	)
	cmd := &cobra.Command{
		Use: "remove NODE", Aliases: []string{"rm"}, Short: "Remove a node from the cluster permanently", Args: positional(cobra.ExactArgs(1)),
		Long: `Remove a node from the cluster permanently, after showing it and asking for confirmation.
If the node is running, it stops; its shards move to other nodes. A restart or a short
outage needs no removal.

` + needsRoot,
		Example: `  firescan cluster remove n3
  firescan cluster remove n3 --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asRoot(dataDir, func(c *client) error {
				all, err := apiclient.Decode(c.api().ClusterStatus(cmd.Context()))
				if err != nil {
					return err
				}
				nodes := slices.DeleteFunc(all.Data.Nodes, func(n apiclient.Node) bool { return n.ID != args[0] })
				if len(nodes) == 0 {
					return fmt.Errorf("no node %q: `firescan cluster status` shows all nodes", args[0])
				}
				if err := printNodes(a.err, nodes); err != nil {
					return err
				}
				if err := a.confirm(question{text: "Remove the node?", undone: "nothing was removed"}, confirmed); err != nil {
					return err
				}
				_, err = apiclient.Decode(c.api().RemoveNode(cmd.Context(), args[0]))
				return err
			})
		},
	}
	yesFlag(cmd.Flags(), &confirmed, "remove")
	return dataDirFlag(a.connectionFlags(cmd), &dataDir)
}

func rotateKeysCommand(a *app) *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use: "rotate-keys", Short: "Replace the key that encrypts credentials", Args: positional(cobra.NoArgs),
		Long: `Create a new key and encrypt the credentials of all destinations with it.

Nothing is interrupted. The previous key stays valid for concurrent writes until the next
rotation removes it: rotate twice after a key was exposed.

` + needsRoot,
		Example: "  firescan cluster rotate-keys",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asRoot(dataDir, func(c *client) error {
				done, err := apiclient.Decode(c.api().RotateKeys(cmd.Context()))
				if err == nil {
					fmt.Fprintf(a.out, "key rotated; encrypted the credentials of %d destinations\n", done.Data.Destinations)
				}
				return err
			})
		},
	}
	return dataDirFlag(a.connectionFlags(cmd), &dataDir)
}

func rotateSecretCommand(a *app) *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use: "rotate-secret", Short: "Replace the secret that the nodes share", Args: positional(cobra.NoArgs),
		Long: `Make a new cluster secret, and give it to all nodes. Nothing is interrupted: both secrets
are valid until all nodes use the new one.

All nodes must be reachable: start a stopped one, or remove it from the cluster. When
the rotation ends early, both secrets stay valid; run it again.

The new secret is in cluster.secret in the data directory of each node, which uses it whatever
--cluster-secret-file has. Replace the content of that file too: new nodes need it.

` + needsRoot,
		Example: "  firescan cluster rotate-secret",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asRoot(dataDir, func(c *client) error {
				done, err := apiclient.Decode(c.api().RotateSecret(cmd.Context()))
				if err == nil {
					fmt.Fprintf(a.out, "cluster secret rotated on %d nodes; copy the new one from cluster.secret in a data directory to --cluster-secret-file\n", done.Data.Nodes)
				}
				return err
			})
		},
	}
	return dataDirFlag(a.connectionFlags(cmd), &dataDir)
}

func printNodes(w io.Writer, nodes []apiclient.Node) error {
	return table(w, "NODE ADDRESS STATE LEADER VOTER APPLIED SHARDS VERSION", func(row func(...any)) {
		for _, n := range nodes {
			row(n.ID, orDash(n.Address), n.State, yes(n.Leader), yes(n.Voter), n.AppliedIndex, n.Shards, orDash(n.Version))
		}
	})
}
