package scanner

import (
	"context"

	spb "firescan/scanner/scannerpb"
)

// Alone is a worker without peers, for tests and benchmarks of one node.
type Alone struct{ Worker *Worker }

// Alive implements Peers.
func (a Alone) Alive() []string { return []string{a.Worker.Node()} }

// Exchange implements Peers.
func (a Alone) Exchange(ctx context.Context, _ string, m *spb.Assignment) (*spb.StatusReport, error) {
	return a.Worker.Exchange(ctx, m)
}
