package scanner

import (
	"context"

	spb "firescan/scanner/scannerpb"
)

// Peers are the nodes that scan together, as the leader sees them.
type Peers interface {
	// Alive lists the ids of the nodes that are believed to be up, this one among them.
	Alive() []string
	// Exchange brings an order to a node and answers its report; this node is one like
	// the others. It gives up when ctx ends. After an error nobody knows whether the
	// order has arrived.
	Exchange(ctx context.Context, node string, order *spb.Order) (*spb.Report, error)
}

// Alone is a worker that has no peers.
type Alone struct{ *Worker }

// Alive implements Peers.
func (a Alone) Alive() []string { return []string{a.Node} }

// Exchange implements Peers.
func (a Alone) Exchange(ctx context.Context, _ string, order *spb.Order) (*spb.Report, error) {
	return a.Worker.Exchange(ctx, order)
}
