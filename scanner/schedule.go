package scanner

import (
	"context"
	"errors"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// startDueSyncs starts the syncs that are due.
func startDueSyncs(ctx context.Context, config *CoordinatorConfig, now time.Time) error {
	if config.SyncEvery <= 0 {
		return nil
	}
	var due []*pb.StartSync
	err := config.Catalog.View(func(tx *catalog.Tx) error {
		destinations, err := tx.AllDestinations()
		if err != nil {
			return err
		}
		for _, d := range destinations {
			last, err := tx.LastSync(d.Org, d.Id)
			if err != nil && !errors.Is(err, catalog.ErrNotFound) {
				return err
			}
			if d.Verified && !now.Before(nextSync(d, last, config.SyncEvery)) {
				due = append(due, &pb.StartSync{Org: d.Org, DestinationId: d.Id, SyncId: catalog.NewID(catalog.KindSync), At: now.UnixMilli()})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, start := range due {
		if _, err := config.Proposer.Propose(ctx, start); err != nil {
			return err
		}
	}
	return nil
}

// nextSync returns when a verified destination is due: never while a sync runs. The first
// sync waits for the interval, too: before records are imported, it would find only
// orphans.
func nextSync(d *pb.Destination, last *pb.Sync, every time.Duration) time.Time {
	if last == nil {
		return time.UnixMilli(d.CreatedAt).Add(every)
	}
	if last.FinishedAt == 0 {
		return time.Unix(1<<40, 0)
	}
	return time.UnixMilli(last.StartedAt).Add(every)
}
