package node

import (
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"firescan/cluster"
	"firescan/cluster/transport"
)

// openCluster opens the cluster membership of this node.
func (n *Node) openCluster(secrets [][]byte, registry prometheus.Registerer) (*cluster.Cluster, error) {
	c := &n.config
	return cluster.Open(cluster.Config{
		ID: n.id, Dir: n.dir.join(raftDir), Catalog: n.catalog, Logger: n.log, Registerer: registry,
		ClusterAddr: c.ClusterAddr, GossipAddr: c.GossipAddr, AdvertiseHost: c.AdvertiseHost,
		Join: c.Join, BootstrapExpect: c.BootstrapExpect, Secrets: secrets,
		Certificates: transport.CertFiles{Cert: c.ClusterCert, Key: c.ClusterKey, CA: c.ClusterCA}, AllowNames: c.ClusterAllowNames,
		HTTPAddress: n.advertisedAddr(), Version: c.Version, DeadAfter: c.DeadAfter,
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
