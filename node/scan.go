package node

import (
	"context"
	"fmt"

	"firescan/api"
	"firescan/scanner"
)

// scanning are the parts that turn buckets into shards.
type scanning struct {
	keeper      *scanner.Keeper
	coordinator *scanner.Coordinator
}

func (n *Node) newScanning() *scanning {
	worker := scanner.NewWorker(scanner.WorkerConfig{
		Node: n.id, Catalog: n.catalog, Index: n.index, Streams: n.config.ScanStreams,
		Proposer: n.cluster, Logger: n.log,
	})
	keeper := scanner.NewKeeper(scanner.KeeperConfig{
		Catalog: n.catalog, Index: n.index, Proposer: n.cluster, Logger: n.log,
	})
	return &scanning{keeper, scanner.NewCoordinator(scanner.CoordinatorConfig{
		Catalog: n.catalog, Index: n.index, Proposer: n.cluster, Buckets: n.buckets,
		Keeper: keeper, Worker: worker, Publisher: publisher{n}, SyncEvery: n.config.SyncEvery,
		Logger: n.log, Registerer: n.registry,
	})}
}

// lead is the leader's work: what the cluster lacks is made first, since no request
// can be served without it, then syncs are coordinated.
func (n *Node) lead(ctx context.Context) error {
	if err := n.keys.make(ctx, n.cluster); err != nil {
		return err
	}
	if err := ensureRootToken(ctx, n.catalog, n.cluster, n.dir, n.config.RootToken); err != nil {
		return err
	}
	n.consensus.ready.Store(true)
	return n.scan.coordinator.Run(ctx)
}

// publisher tells the clients of this node how syncs go on.
type publisher struct{ node *Node }

// Publish implements scanner.Publisher.
func (p publisher) Publish(s scanner.Progress) {
	p.node.api.Publish(progressEvent(s))
}

// progressEvent is a progress as clients see it. A time that cannot be told yet is
// null there.
func progressEvent(s scanner.Progress) api.Event {
	var eta *float64
	if s.ETASeconds >= 0 {
		eta = &s.ETASeconds
	}
	nodes := s.Nodes
	if nodes == nil {
		nodes = []string{}
	}
	return api.Event{Org: s.Org, Name: "storage:sync-progress", Data: syncProgress{
		OrganizationID: s.Org, DestinationID: s.DestinationID, SyncID: s.SyncID, Status: s.Status,
		FilesScanned: s.FilesScanned, BytesScanned: fmt.Sprint(s.BytesScanned), OrphanFiles: s.OrphanFiles,
		Percent: s.Percent, FilesPerSecond: s.FilesPerSecond, ETASeconds: eta,
		RangesDone: s.RangesDone, RangesTotal: s.RangesTotal, Nodes: nodes,
	}}
}

// syncProgress is the data of storage:sync-progress. Sizes are strings, as in all
// of the Storage API.
type syncProgress struct {
	OrganizationID string   `json:"organizationId"`
	DestinationID  string   `json:"destinationId"`
	SyncID         string   `json:"syncId"`
	Status         string   `json:"status"`
	FilesScanned   uint64   `json:"filesScanned"`
	BytesScanned   string   `json:"bytesScanned"`
	OrphanFiles    uint64   `json:"orphanFiles"`
	Percent        float64  `json:"percent"`
	FilesPerSecond float64  `json:"filesPerSecond"`
	ETASeconds     *float64 `json:"etaSeconds"`
	RangesDone     int      `json:"rangesDone"`
	RangesTotal    int      `json:"rangesTotal"`
	Nodes          []string `json:"nodes"`
}
