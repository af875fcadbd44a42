package node

import (
	"context"

	"golang.org/x/sync/errgroup"

	"firescan/api"
	"firescan/catalog"
	"firescan/replica"
	"firescan/scanner"
	rpc "firescan/scanner/scannerpb/scannerpbconnect"
)

// scanning has the parts that turn buckets into shards.
type scanning struct {
	replicator  *replica.Replicator
	worker      *scanner.Worker
	coordinator *scanner.Coordinator
	// synced has organizations of which a sync was promoted, so that their statistics are
	// published.
	synced chan string
}

func (n *Node) newScanning() *scanning {
	worker := scanner.NewWorker(scanner.WorkerConfig{
		Node: n.id, Catalog: n.catalog, Index: n.index, Streams: n.config.ScanStreams,
		Proposer: n.cluster, Buckets: n.buckets, ShareRate: n.buckets.Pace, Logger: n.log,
	})
	n.cluster.Handle(rpc.NewScanHandler(worker))
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
	synced := make(chan string, 64)
	return &scanning{replicator, worker, scanner.NewCoordinator(scanner.CoordinatorConfig{
		Catalog: n.catalog, Proposer: n.cluster, Buckets: n.buckets,
		Shards: replicator, Peers: scanPeers{n.cluster, worker}, Publisher: publisher{n, synced},
		SyncEvery: n.config.SyncEvery, Logger: n.log, Registerer: n.registry,
	}), synced}
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
	parts.Go(func() error { return s.worker.Run(failed) })
	return parts.Wait()
}

// lead does the work of the leader. It first creates the keyset and the root token, because
// no request can be served without them.
func (n *Node) lead(ctx context.Context) error {
	if err := n.keys.create(ctx, n.cluster); err != nil {
		return err
	}
	if err := ensureRootToken(ctx, n.catalog, n.cluster, n.dir, n.config.RootToken); err != nil {
		return err
	}
	n.readiness.prepared.Store(true)
	return n.coordinate(ctx)
}

// publisher publishes the progress of syncs.
type publisher struct {
	node   *Node
	synced chan<- string
}

// Publish implements scanner.Publisher.
func (p publisher) Publish(s scanner.Progress) {
	p.node.api.Publish(api.SyncProgress(s))
	if s.Status != catalog.SyncCompleted {
		return
	}
	select {
	case p.synced <- s.Org:
	default: // the queue is full; the next sync publishes them
	}
}

// publishStats publishes the statistics after each sync, until ctx ends.
func (n *Node) publishStats(ctx context.Context) error {
	for {
		select {
		case org := <-n.scan.synced:
			stats, err := n.api.Stats(ctx, org)
			if err != nil {
				n.log.Warn("publishing the statistics after a sync failed", "error", err)
				continue
			}
			n.api.Publish(api.StatsUpdate(org, stats))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
