package scanner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// publishEvery limits progress to four events per second.
const publishEvery = 250 * time.Millisecond

// run runs a sync and records its end in the catalog. When ctx ends first, the sync
// either continues under the next coordinator or has ended already.
func (j *job) run(ctx context.Context, m *metrics) {
	log := j.config.Logger.With("sync", j.sync.Id, "destination", j.sync.DestinationId)
	log.Info("sync started", "segments already recorded", j.sync.Segments)
	err := j.scanAndPromote(ctx)
	took := time.Since(j.tracker.started)
	if err == nil {
		p := j.tracker.completed(j.sync, time.Now())
		m.ended(catalog.SyncCompleted, took)
		j.config.Publisher.Publish(p)
		log.Info("sync completed", "files", p.FilesScanned, "orphans", p.OrphanFiles, "took", took)
		return
	}
	if ctx.Err() != nil {
		if errors.Is(context.Cause(ctx), errSyncEnded) {
			m.ended(catalog.SyncCancelled, took)
			j.config.Publisher.Publish(j.tracker.progress(catalog.SyncCancelled, time.Now()))
			log.Info("sync cancelled")
		}
		return
	}
	log.Error("sync failed", "error", err, "took", took)
	m.ended(catalog.SyncFailed, took)
	finish := &pb.FinishSync{
		SyncId: j.sync.Id, Status: catalog.SyncFailed, Error: failureReason(err), Cause: failureCause(err), At: time.Now().UnixMilli(),
	}
	if _, err := j.config.Proposer.Propose(ctx, finish); err != nil && !errors.Is(err, catalog.ErrConflict) {
		log.Error("recording the end of the sync failed; retrying the sync from its recorded segments", "error", err)
		// Not immediately: the cause of the failure may last.
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return
	}
	p := j.tracker.progress(catalog.SyncFailed, time.Now())
	p.Error = finish.Error
	j.config.Publisher.Publish(p)
}

func (j *job) scanAndPromote(ctx context.Context) (err error) {
	if err := j.load(); err != nil {
		return err
	}
	j.tracker.before, j.tracker.expected = j.recordedCounters(), j.generation.GetFiles()
	if j.bucket, err = j.config.Buckets.Open(ctx, j.destination); err != nil {
		return err
	}
	publishing, stop := context.WithCancel(ctx)
	published := make(chan struct{})
	go func() {
		defer close(published)
		j.publishProgress(publishing)
	}()
	defer func() {
		stop()
		<-published
	}()
	for {
		if err := newDispatcher(j).run(ctx); err != nil {
			return err
		}
		lost, err := j.config.Shards.Await(ctx, j.destination, j.sync.Id)
		if err != nil {
			return err
		}
		if len(lost) == 0 {
			break
		}
		j.config.Logger.Warn("segments were lost with a node before they were copied; listing their ranges again", "sync", j.sync.Id, "segments", len(lost))
		if _, err := j.config.Proposer.Propose(ctx, &pb.UnsealSegments{SyncId: j.sync.Id, Ids: lost}); err != nil {
			return fmt.Errorf("unseal lost segments: %w", err)
		}
		if err := j.load(); err != nil {
			return err
		}
	}
	if err := proveAccess(ctx, j.config.Catalog, j.config.Proposer, j.destination); err != nil {
		if errors.Is(err, catalog.ErrConflict) {
			j.config.Logger.Warn("the destination was changed while it was synced; its credentials count as not tried", "destination", j.destination.Id)
		} else {
			return fmt.Errorf("record that the bucket was listed: %w", err)
		}
	}
	promote := &pb.PromoteSync{SyncId: j.sync.Id, At: time.Now().UnixMilli(), Baseline: true}
	if err := j.config.Catalog.View(func(tx *catalog.Tx) error {
		promote.Moved = tx.Moved(j.destination)
		return nil
	}); err != nil {
		return err
	}
	if _, err = j.config.Proposer.Propose(ctx, promote); err != nil {
		return fmt.Errorf("promote the sync: %w", err)
	}
	return j.load()
}

func (j *job) publishProgress(ctx context.Context) {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for {
		j.config.Publisher.Publish(j.tracker.progress(catalog.SyncRunning, time.Now()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
