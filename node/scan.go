package node

import (
	"context"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"firescan/api"
	"firescan/cluster"
	"firescan/replica"
	"firescan/scanner"
	rpc "firescan/scanner/scannerpb/scannerpbconnect"
)

// scanning has the parts that turn buckets into shards.
type scanning struct {
	replicator  *replica.Replicator
	worker      *scanner.Worker
	coordinator *scanner.Coordinator
	publisher   *publisher
	verifier    *verifier
}

func (n *Node) newScanning() *scanning {
	worker := scanner.NewWorker(scanner.WorkerConfig{
		Node: n.id, Catalog: n.catalog, Index: n.index, Streams: n.config.ScanStreams,
		Proposer: n.cluster, Buckets: n.buckets, ShareRate: n.buckets.ShareRate, Logger: n.log,
	})
	n.cluster.Handle(rpc.NewScanHandler(worker, connect.WithReadMaxBytes(cluster.MaxMessage)))
	segments := replica.NewHTTPPeers(replica.HTTPConfig{
		Index: n.index, Members: n.members, Client: n.cluster.HTTPClient(),
		Bandwidth: n.config.ReplicaBandwidth << 20, Registerer: n.registry,
	})
	segments.Register(n.cluster.Handle)
	replicator := replica.New(replica.Config{
		Node: n.id, Catalog: n.catalog, Index: n.index, Proposer: n.cluster, Peers: segments,
		Grace: n.config.replicaGrace, Logger: n.log,
	})
	replicator.Register(n.cluster.Handle)
	publisher := newPublisher(func() *api.Server { return n.api }, n.log)
	return &scanning{replicator, worker, scanner.NewCoordinator(scanner.CoordinatorConfig{
		Catalog: n.catalog, Proposer: n.cluster, Buckets: n.buckets,
		Shards: replicator, Peers: scanPeers{n.cluster, worker}, Publisher: publisher,
		SyncEvery: n.config.SyncEvery, Logger: n.log, Registerer: n.registry,
	}), publisher, n.verifier}
}

// members returns the nodes of the cluster.
func (n *Node) members() []replica.Member {
	peers := n.cluster.Peers()
	members := make([]replica.Member, len(peers))
	for i, p := range peers {
		members[i] = replica.Member{ID: p.ID, Alive: p.Alive || p.Self}
	}
	return members
}

// run does the work of every node, leader or not, until ctx ends.
func (s *scanning) run(ctx context.Context) error {
	parts, failed := errgroup.WithContext(ctx)
	parts.Go(func() error { return s.replicator.Run(failed) })
	parts.Go(func() error {
		// What a damaged catalog makes of files would reach all nodes.
		if err := s.verifier.wait(failed); err != nil {
			return err
		}
		return s.worker.Run(failed)
	})
	return parts.Wait()
}

// lead does the work of the leader. It first creates the keyset and the root token, because
// no request can be served without them.
func (n *Node) lead(ctx context.Context) error {
	if err := n.keys.create(ctx, n.cluster); err != nil {
		return err
	}
	if err := ensureRootToken(ctx, n.catalog, n.cluster, n.dir, n.config.RootToken, n.log); err != nil {
		return err
	}
	n.api.RecordNode("cluster.lead", n.id)
	n.readiness.prepared.Store(true)
	if err := n.verifier.wait(ctx); err != nil {
		return err
	}
	return n.coordinate(ctx)
}
