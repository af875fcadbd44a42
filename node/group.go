package node

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/cluster"
	"firescan/cluster/transport"
)

// openCluster opens this node's part in the group of nodes.
func (n *Node) openCluster(secret []byte, registry prometheus.Registerer) (*cluster.Cluster, error) {
	c := &n.config
	return cluster.Open(cluster.Config{
		ID: n.id, Dir: n.dir.join(raftDir), Catalog: n.catalog, Logger: n.log, Registerer: registry,
		ClusterAddr: c.ClusterAddr, GossipAddr: c.GossipAddr, AdvertiseHost: c.AdvertiseHost,
		Join: c.Join, BootstrapExpect: c.BootstrapExpect, Secret: secret,
		Certificates: transport.CertFiles{Cert: c.ClusterCert, Key: c.ClusterKey, CA: c.ClusterCA},
		HTTPAddress:  n.toldAddr(), Version: c.Version, DeadAfter: c.DeadAfter,
		Shards: func() int {
			held, err := n.shardsHeld()
			if err != nil {
				n.log.Warn("the shards of this node could not be counted", "error", err)
			}
			return held
		},
	})
}

// toldAddr is where others are told that clients reach the API of this node.
func (n *Node) toldAddr() string {
	host, port, err := net.SplitHostPort(n.Addr())
	if ip := net.ParseIP(host); err != nil || n.config.AdvertiseHost == "" || ip == nil || !ip.IsUnspecified() {
		return n.Addr()
	}
	return net.JoinHostPort(n.config.AdvertiseHost, port)
}

// shardsHeld counts the destinations whose files this node can tell.
func (n *Node) shardsHeld() (held int, err error) {
	all, err := n.index.Destinations()
	for _, id := range all {
		if _, _, ok := n.index.Generation(id); ok {
			held++
		}
	}
	return held, err
}

// checkMembership tells what is wrong with the flags about other nodes.
func (c *Config) checkMembership(wrong func(format string, args ...any)) {
	for flag, address := range map[string]string{"--cluster-addr": c.ClusterAddr, "--gossip-addr": c.GossipAddr} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			wrong("%s %q is no host:port: %w", flag, address, err)
		}
	}
	if (c.ClusterAddr == "") != (c.GossipAddr == "") {
		wrong("--cluster-addr and --gossip-addr belong together: give both, or none to a node that stays alone")
	}
	for _, address := range c.Join {
		if _, _, err := net.SplitHostPort(address); err != nil {
			wrong("--join %q is no host:port of another node's gossip: %w", address, err)
		}
	}
	if c.BootstrapExpect < 1 || c.BootstrapExpect > maxExpect {
		wrong("--bootstrap-expect is %d: give 1 to %d", c.BootstrapExpect, maxExpect)
	}
	if c.ClusterAddr == "" && c.joins() {
		wrong("--join and --bootstrap-expect are for a node with --cluster-addr and --gossip-addr")
	}
	if own := (c.ClusterCert != "") || (c.ClusterKey != "") || (c.ClusterCA != ""); own && (c.ClusterCert == "" || c.ClusterKey == "" || c.ClusterCA == "") {
		wrong("--cluster-cert, --cluster-key and --cluster-ca belong together: give all or none")
	}
}

// maxExpect is more nodes than anybody begins a cluster with.
const maxExpect = 100

// joins tells whether the node is to find others.
func (c *Config) joins() bool { return len(c.Join) > 0 || c.BootstrapExpect > 1 }

// errNoSecret is returned when a node that is to find others has no secret in common with them.
var errNoSecret = errors.New("a node that joins others needs the secret that they have: give all of them the same --cluster-secret-file (make one with `openssl rand -base64 32`)")
