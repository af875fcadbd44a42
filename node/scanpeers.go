package node

import (
	"context"

	"connectrpc.com/connect"

	"firescan/cluster"
	"firescan/scanner"
	spb "firescan/scanner/scannerpb"
	rpc "firescan/scanner/scannerpb/scannerpbconnect"
)

// scanPeers implements scanner.Peers for the coordinator on the leader. Assignments for this
// node do not use the network.
type scanPeers struct {
	cluster *cluster.Cluster
	worker  *scanner.Worker
}

// Alive implements scanner.Peers.
func (p scanPeers) Alive() []string {
	var ids []string
	for _, peer := range p.cluster.Peers() {
		if peer.Alive {
			ids = append(ids, peer.ID)
		}
	}
	return ids
}

// Exchange implements scanner.Peers.
func (p scanPeers) Exchange(ctx context.Context, node string, a *spb.Assignment) (*spb.StatusReport, error) {
	if node == p.worker.Node() {
		return p.worker.Exchange(ctx, a)
	}
	return rpc.NewScanClient(p.cluster.HTTPClient(), "https://"+node, connect.WithReadMaxBytes(cluster.MaxMessage)).Exchange(ctx, a)
}
