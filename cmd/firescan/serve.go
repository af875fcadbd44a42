package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"firescan/catalog"
	"firescan/node"
)

func serveCommand(a *app) *cobra.Command {
	c := node.DefaultConfig()
	var format, level string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a node", Args: positional(cobra.NoArgs),
		Long: `Run a node until it is interrupted (SIGINT or SIGTERM).

At the first start of a cluster, the root token is FIRESCAN_ROOT_TOKEN if that is set;
otherwise a new one is written to <data-dir>/root.token. Later starts make none, also when
it was revoked; firescan token recover does.`,
		Example: `  firescan serve
  firescan serve --http-addr 0.0.0.0:8443 --http-tls-cert node.pem --http-tls-key node-key.pem
  firescan serve --cluster-addr 10.0.0.1:7400 --gossip-addr 10.0.0.1:7401 --cluster-secret-file secret \
                 --bootstrap-expect 3 --join 10.0.0.2:7401 --join 10.0.0.3:7401
  firescan serve --allow-endpoint 'minio.example.com:9000' --allow-endpoint 10.20.0.0/16
  firescan serve --egress-proxy http://proxy.example.com:3128 --provider-ca-file company-ca.pem`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := node.NewLogger(a.err, format, level)
			if err != nil {
				return usageError{err}
			}
			c.Logger, c.Version = logger, version()
			if token, ok := a.getenv(rootTokenVariable); ok {
				c.RootToken = catalog.NewSecret(token)
			}
			if err := c.Validate(); err != nil {
				return usageError{err}
			}
			a.warnProxy(c)
			return runNode(cmd.Context(), c)
		},
	}
	nodeFlags(cmd.Flags(), &c)
	cmd.Flags().StringVar(&format, "log-format", "text", "format of the log: text or json")
	cmd.Flags().StringVar(&level, "log-level", "info", "minimum level of the log: debug, info, warn or error")
	return cmd
}

// warnProxy warns of a proxy in the environment that the node does not use. The value may have
// a password.
func (a *app) warnProxy(c node.Config) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		if value, _ := a.getenv(name); value != "" && c.EgressProxy == "" {
			c.Logger.Warn("the proxy of the environment is not used: set --egress-proxy, or unset the variable", "variable", name)
		}
	}
}

func nodeFlags(f *pflag.FlagSet, c *node.Config) {
	f.StringVar(&c.NodeID, "node-id", c.NodeID, "name of this node, permanent after the first start (default: host name)")
	f.StringVar(&c.DataDir, "data-dir", c.DataDir, "directory for all data of the node")
	f.StringVar(&c.HTTPAddr, "http-addr", c.HTTPAddr, "host:port of the HTTP API")
	f.StringVar(&c.MetricsAddr, "metrics-addr", c.MetricsAddr, "host:port of a separate listener for /metrics, without tokens and TLS (default: on --http-addr, open on loopback, otherwise for tokens with the role metrics)")
	f.StringVar(&c.TLSCert, "http-tls-cert", c.TLSCert, "PEM file with the certificate of the HTTP API")
	f.StringVar(&c.TLSKey, "http-tls-key", c.TLSKey, "PEM file with the private key of --http-tls-cert")
	f.StringVar(&c.SecretFile, "cluster-secret-file", c.SecretFile, "file with the cluster secret (default: created in the data directory)")
	f.StringVar(&c.MasterKeyFile, "master-key-file", c.MasterKeyFile, "file with the key that encrypts credentials, 32 bytes in base64 (default: derived from the cluster secret)")
	f.StringSliceVar(&c.AllowEndpoints, "allow-endpoint", c.AllowEndpoints, "allowed custom endpoints of destinations: a glob of host:port, or a CIDR; repeatable. Private addresses need a CIDR, an address, or a name without *")
	f.StringVar(&c.EgressProxy, "egress-proxy", c.EgressProxy, "URL (http or https) of a proxy for all requests to providers; prefer FIRESCAN_EGRESS_PROXY for one with a password (default: none, also if HTTPS_PROXY is set)")
	f.StringVar(&c.ProviderCAFile, "provider-ca-file", c.ProviderCAFile, "PEM file with CA certificates that providers and the proxy may have besides those of the system")
	f.StringSliceVar(&c.AllowOrigins, "allow-origin", c.AllowOrigins, "origins of web pages that may use the API (CORS), such as https://console.example.com or 'https://*.example.com', or * for all; repeatable")
	f.StringVar(&c.GCSKeyDir, "gcs-key-dir", c.GCSKeyDir, "directory with a directory of key files per organization id, which gcs and firebase-storage destinations may name")
	f.DurationVar(&c.SyncEvery, "sync-every", c.SyncEvery, "interval between syncs of a verified destination (0 = never)")
	f.DurationVar(&c.OrphanMinAge, "orphan-min-age", c.OrphanMinAge, "minimum age of orphans that a cleanup deletes (overridden by minAge)")
	f.Float64Var(&c.Guards.JumpPoints, "guard-jump", c.Guards.JumpPoints, "increase of the share of orphans, in percentage points, above which a cleanup must be confirmed")
	f.Uint64Var(&c.Guards.JumpFiles, "guard-jump-files", c.Guards.JumpFiles, "minimum number of files of a cleanup for --guard-jump")
	f.Uint64Var(&c.Guards.NewOrphans, "guard-new-orphans", c.Guards.NewOrphans, "number of new orphans, more than 10 for each changed record, above which a cleanup must be confirmed")
	f.Uint64Var(&c.Guards.Missing, "guard-missing", c.Guards.Missing, "number of backups without a file in the bucket, or with one outside of the destination, above which a cleanup must be confirmed")
	f.DurationVar(&c.FreshFor, "fresh-for", c.FreshFor, "maximum age of a sync that counts as fresh")
	f.IntVar(&c.ScanStreams, "scan-streams", c.ScanStreams, "maximum number of concurrent list requests")
	f.IntVar(&c.ReplicaBandwidth, "replica-bandwidth", c.ReplicaBandwidth, "maximum replication bandwidth in MiB/s (0 = unlimited)")
	f.StringVar(&c.ClusterAddr, "cluster-addr", c.ClusterAddr, "host:port for Raft and requests of other nodes, over TLS")
	f.StringVar(&c.GossipAddr, "gossip-addr", c.GossipAddr, "host:port for gossip with other nodes, encrypted, TCP and UDP")
	f.StringVar(&c.AdvertiseHost, "advertise-host", c.AdvertiseHost, "host or IP address at which other nodes reach this node (default: the listen address)")
	f.StringSliceVar(&c.Join, "join", c.Join, "gossip address (host:port) of another node, retried until it responds; repeatable")
	f.IntVar(&c.BootstrapExpect, "bootstrap-expect", c.BootstrapExpect, "number of new nodes that form a cluster together (1 with --join: join an existing cluster)")
	f.DurationVar(&c.DeadAfter, "dead-after", c.DeadAfter, "time after which an unreachable node is removed, while three voters remain (negative = never)")
	f.StringVar(&c.ClusterCert, "cluster-cert", c.ClusterCert, "PEM file with the certificate of the cluster port (default: derived from the cluster secret)")
	f.StringVar(&c.ClusterKey, "cluster-key", c.ClusterKey, "PEM file with the private key of --cluster-cert")
	f.StringVar(&c.ClusterCA, "cluster-ca", c.ClusterCA, "PEM file with the CA certificates that verify other nodes; use a CA that issues only their certificates")
	f.StringSliceVar(&c.ClusterAllowNames, "cluster-allow-name", c.ClusterAllowNames, "name or pattern (*.firescan.example.com) in certificates of nodes, instead of their ids; repeatable")
	limitFlags(f, c)
}

// runNode runs a node until ctx is canceled.
func runNode(ctx context.Context, c node.Config) error {
	n, err := node.New(c) //nolint:contextcheck // requests bring contexts of their own
	if err != nil {
		return err
	}
	return errors.Join(n.Run(ctx), n.Close())
}
