// Package scanner turns buckets into segments of the index: the leader plans key ranges
// and leases them to nodes, whose streams list and classify them and seal the result,
// until the leader promotes it. See DESIGN.md.
package scanner

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
	spb "firescan/scanner/scannerpb"
)

const (
	// defaultLease is CoordinatorConfig.Lease when it is 0.
	defaultLease = 6 * time.Second
	// defaultLeaderTimeout is WorkerConfig.LeaderTimeout when it is 0. An election fits in,
	// so that a change of leaders interrupts no scan.
	defaultLeaderTimeout = 8 * time.Second
)

// A Proposer applies commands to the catalog.
type Proposer interface {
	// Propose returns when the command is applied on this node, or has failed.
	Propose(ctx context.Context, command proto.Message) (*pb.Result, error)
}

// Buckets opens the bucket of a destination with its stored credentials.
type Buckets interface {
	Open(ctx context.Context, d *pb.Destination) (provider.Bucket, error)
}

// Shards are the shards on this node and their copies on other nodes.
type Shards interface {
	// View returns a view of a destination's shard, which the caller releases.
	View(ctx context.Context, destination string) (*index.View, error)
	// Await waits until enough nodes hold all segments of a finished sync. It returns the
	// ids of the segments that no node has anymore; they must be listed again. The error is
	// catalog.ErrNoReplica when no node makes progress copying.
	Await(ctx context.Context, d *pb.Destination, syncID string) (lost []string, err error)
}

// Peers are the nodes that scan together, this one included.
type Peers interface {
	// Alive returns the ids of the nodes that are believed to be up.
	Alive() []string
	// Exchange delivers an assignment to a node and returns the node's status report. After
	// an error it is unknown whether the assignment has arrived.
	Exchange(ctx context.Context, node string, a *spb.Assignment) (*spb.StatusReport, error)
}

// A Publisher sends the progress of syncs to clients. It must not block.
type Publisher interface {
	Publish(Progress)
}

// WorkerConfig configures a Worker.
type WorkerConfig struct {
	// Node is the name of this node in the commands that it proposes.
	Node    string
	Catalog *catalog.Catalog
	Index   *index.Store
	// Streams bounds the concurrent list requests of all scans together.
	Streams  int
	Proposer Proposer
	Buckets  Buckets
	// ShareRate limits this node to a part (0 to 1) of the rate at which the bucket of a
	// destination may be called; nil when there is no rate to share.
	ShareRate func(d *pb.Destination, part float64)
	Logger    *slog.Logger
	// LeaderTimeout is how long a scan continues without an assignment; 0 is 8 s.
	LeaderTimeout time.Duration
}

// CoordinatorConfig configures a Coordinator.
type CoordinatorConfig struct {
	Catalog   *catalog.Catalog
	Proposer  Proposer
	Buckets   Buckets
	Shards    Shards
	Peers     Peers
	Publisher Publisher
	// SyncEvery is the interval between the starts of two syncs of a verified destination;
	// the first one is due that long after the destination was created. 0 is never.
	SyncEvery time.Duration
	// Lease is how long a node may be silent before its ranges go to other nodes; 0 is 6 s.
	Lease      time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}
