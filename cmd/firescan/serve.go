package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"firescan/catalog"
	"firescan/node"
)

func (a *app) serveCommand() *cobra.Command {
	c := node.DefaultConfig()
	var format, level string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a node", Args: takes(cobra.NoArgs),
		Long: `Run a node until it is interrupted.

At the first start the root token is FIRESCAN_ROOT_TOKEN if that is set; otherwise one
is made and written to <data-dir>/root.token.`,
		Example: `  firescan serve
  firescan serve --http-addr 0.0.0.0:8443 --http-tls-cert node.pem --http-tls-key node-key.pem
  firescan serve --cluster-addr 10.0.0.1:7400 --gossip-addr 10.0.0.1:7401 --cluster-secret-file secret \
                 --bootstrap-expect 3 --join 10.0.0.2:7401 --join 10.0.0.3:7401
  firescan serve --allow-endpoint 'minio.example.com:9000' --allow-endpoint 10.20.0.0/16`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := node.NewLogger(a.err, format, level)
			if err != nil {
				return usageError{err}
			}
			c.Logger, c.Version = logger, version()
			if token, ok := a.getenv("FIRESCAN_ROOT_TOKEN"); ok {
				c.RootToken = catalog.NewSecret(token)
			}
			if err := c.Validate(); err != nil {
				return usageError{err}
			}
			return runNode(cmd.Context(), c)
		},
	}
	nodeFlags(cmd.Flags(), &c)
	cmd.Flags().StringVar(&format, "log-format", "text", "text or json")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func nodeFlags(f *pflag.FlagSet, c *node.Config) {
	f.StringVar(&c.NodeID, "node-id", c.NodeID, "name of this node, kept for good; the host's name at first")
	f.StringVar(&c.DataDir, "data-dir", c.DataDir, "directory of all that the node stores")
	f.StringVar(&c.HTTPAddr, "http-addr", c.HTTPAddr, "host:port of the API")
	f.StringVar(&c.TLSCert, "http-tls-cert", c.TLSCert, "PEM file of the API's certificate")
	f.StringVar(&c.TLSKey, "http-tls-key", c.TLSKey, "PEM file of the certificate's key")
	f.StringVar(&c.SecretFile, "cluster-secret-file", c.SecretFile, "file of the cluster secret; made in the data directory by default")
	f.StringVar(&c.MasterKeyFile, "master-key-file", c.MasterKeyFile, "file of the key that guards credentials (32 bytes, base64); from the cluster secret by default")
	f.StringSliceVar(&c.AllowEndpoints, "allow-endpoint", c.AllowEndpoints, "endpoints that destinations may have: a glob of host:port, or a network (CIDR); may be repeated")
	f.StringVar(&c.GCSKeyDir, "gcs-key-dir", c.GCSKeyDir, "directory of the key files that destinations at Google may name")
	f.DurationVar(&c.SyncEvery, "sync-every", c.SyncEvery, "how often each verified destination is synced; 0 is never")
	f.DurationVar(&c.OrphanMinAge, "orphan-min-age", c.OrphanMinAge, "how old orphans are the least that a cleanup deletes, unless it says otherwise")
	f.DurationVar(&c.FreshFor, "fresh-for", c.FreshFor, "how long a sync counts as fresh")
	f.IntVar(&c.ScanStreams, "scan-streams", c.ScanStreams, "list requests under way at once")
	f.IntVar(&c.ReplicaBandwidth, "replica-bandwidth", c.ReplicaBandwidth, "most MiB a second that the node copies of other nodes' shards; 0 is no bound")
	f.StringVar(&c.ClusterAddr, "cluster-addr", c.ClusterAddr, "host:port for other nodes: the log and requests, over TLS")
	f.StringVar(&c.GossipAddr, "gossip-addr", c.GossipAddr, "host:port for finding other nodes, TCP and UDP, encrypted")
	f.StringVar(&c.AdvertiseHost, "advertise-host", c.AdvertiseHost, "host or address at which other nodes reach this one; by default the one that it listens at")
	f.StringSliceVar(&c.Join, "join", c.Join, "gossip address (host:port) of another node; may be repeated, and is tried for ever")
	f.IntVar(&c.BootstrapExpect, "bootstrap-expect", c.BootstrapExpect, "how many new nodes begin a cluster together; with 1 and --join, the node waits to be taken in")
	f.DurationVar(&c.DeadAfter, "dead-after", c.DeadAfter, "how long a node must be gone before it loses its place, while three voters remain; negative is never")
	f.StringVar(&c.ClusterCert, "cluster-cert", c.ClusterCert, "PEM file of a certificate for the cluster port; made from the cluster secret by default")
	f.StringVar(&c.ClusterKey, "cluster-key", c.ClusterKey, "PEM file of that certificate's key")
	f.StringVar(&c.ClusterCA, "cluster-ca", c.ClusterCA, "PEM file of the authorities that other nodes' certificates are checked against")
}

// runNode runs a node until ctx ends.
func runNode(ctx context.Context, c node.Config) error {
	n, err := node.New(c) //nolint:contextcheck // requests bring contexts of their own
	if err != nil {
		return err
	}
	return errors.Join(n.Run(ctx), n.Close())
}
