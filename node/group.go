package node

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/cluster"
	"firescan/cluster/transport"
)

// openCluster opens the cluster membership of this node.
func (n *Node) openCluster(secret []byte, registry prometheus.Registerer) (*cluster.Cluster, error) {
	c := &n.config
	return cluster.Open(cluster.Config{
		ID: n.id, Dir: n.dir.join(raftDir), Catalog: n.catalog, Logger: n.log, Registerer: registry,
		ClusterAddr: c.ClusterAddr, GossipAddr: c.GossipAddr, AdvertiseHost: c.AdvertiseHost,
		Join: c.Join, BootstrapExpect: c.BootstrapExpect, Secret: secret,
		Certificates: transport.CertFiles{Cert: c.ClusterCert, Key: c.ClusterKey, CA: c.ClusterCA},
		HTTPAddress:  n.advertisedAddr(), Version: c.Version, DeadAfter: c.DeadAfter,
		Shards: func() int {
			held, err := n.shardsHeld()
			if err != nil {
				n.log.Warn("counting the shards of this node failed", "error", err)
			}
			return held
		},
	})
}

// advertisedAddr returns the address of the API that other nodes report to clients.
func (n *Node) advertisedAddr() string {
	host, port, err := net.SplitHostPort(n.Addr())
	if ip := net.ParseIP(host); err != nil || n.config.AdvertiseHost == "" || ip == nil || !ip.IsUnspecified() {
		return n.Addr()
	}
	return net.JoinHostPort(n.config.AdvertiseHost, port)
}

// shardsHeld returns the number of destinations whose shard this node has.
func (n *Node) shardsHeld() (held int, err error) {
	all, err := n.index.Destinations()
	for _, id := range all {
		if _, _, ok := n.index.Generation(id); ok {
			held++
		}
	}
	return held, err
}

// checkMembership validates the flags about other nodes.
func (c *Config) checkMembership(wrong func(format string, args ...any)) {
	for flag, address := range map[string]string{"--cluster-addr": c.ClusterAddr, "--gossip-addr": c.GossipAddr} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			wrong("%s %q is not a host:port: %w", flag, address, err)
		}
	}
	if (c.ClusterAddr == "") != (c.GossipAddr == "") {
		wrong("--cluster-addr and --gossip-addr must be given together, or not at all for a node that stays alone")
	}
	for _, address := range c.Join {
		if _, _, err := net.SplitHostPort(address); err != nil {
			wrong("--join %q is not the gossip address (host:port) of another node: %w", address, err)
		}
	}
	if c.BootstrapExpect < 1 || c.BootstrapExpect > maxExpect {
		wrong("--bootstrap-expect is %d: give 1 to %d", c.BootstrapExpect, maxExpect)
	}
	if c.ClusterAddr == "" && c.joins() {
		wrong("--join and --bootstrap-expect need --cluster-addr and --gossip-addr")
	}
	if own := (c.ClusterCert != "") || (c.ClusterKey != "") || (c.ClusterCA != ""); own && (c.ClusterCert == "" || c.ClusterKey == "" || c.ClusterCA == "") {
		wrong("--cluster-cert, --cluster-key and --cluster-ca must be given together, or not at all")
	}
}

// maxExpect is the maximum of --bootstrap-expect.
const maxExpect = 100

// joins reports whether the node has to find other nodes.
func (c *Config) joins() bool { return len(c.Join) > 0 || c.BootstrapExpect > 1 }

// errNoSecret is returned when a node that has to find others has no secret file.
var errNoSecret = errors.New("a node that joins others needs their secret: start all nodes with the same --cluster-secret-file (create one with `openssl rand -base64 32`)")
