package scanner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	spb "firescan/scanner/scannerpb"
)

// watchEvery is how often a scan checks that it is still wanted.
const watchEvery = 250 * time.Millisecond

// run lists the granted ranges until the scan is stopped or fails.
func (s *scan) run() {
	defer close(s.done)
	err := s.list()
	s.cancel(err)
	s.node.rates.update(s.destination, s.runID, 0)
	s.mu.Lock()
	held := len(s.held) > 0
	s.held = nil
	s.mu.Unlock()
	log := s.node.config.Logger.With("sync", s.sync.Id, "destination", s.destination.Id)
	switch {
	case errors.Is(err, errLeaderSilent) && !held: // the leader has nothing more for this node
	case errors.Is(err, errLeaderSilent), errors.Is(err, errLeaseLost):
		log.Warn("this node gives up its part of a sync; recorded segments remain", "error", err)
	case errors.Is(err, errSyncEnded), s.root.Err() != nil, !s.isRunning(): // the end of the sync is no failure
	default:
		log.Error("this node failed in a sync", "error", err)
		s.failure = &spb.Failure{Reason: failureReason(err), Detail: err.Error(), Elsewhere: canRetryElsewhere(err), Cause: failureCause(err)}
	}
	s.changed.Broadcast()
}

func (s *scan) list() (err error) {
	if s.bucket, err = s.node.config.Buckets.Open(s.ctx, s.destination); err != nil {
		return fmt.Errorf("open the bucket of destination %s: %w", s.destination.Id, err)
	}
	if err := s.node.config.Catalog.View(func(tx *catalog.Tx) error {
		s.appliedAtBegin = tx.AppliedIndex()
		return nil
	}); err != nil {
		return err
	}
	s.began = time.Now()
	group, ctx := errgroup.WithContext(s.ctx)
	s.group = group
	group.Go(func() error { return s.recorder.run(ctx) })
	group.Go(func() error { return s.watch(ctx) })
	for range s.node.config.Streams {
		group.Go(func() error { return newStream(s).run(ctx) })
	}
	return group.Wait()
}

// proveAccess records that the credentials of the destination have listed its bucket. When
// that fails, the coordinator does it before it promotes the sync.
func (s *scan) proveAccess(ctx context.Context) error {
	if err := proveAccess(ctx, s.node.config.Catalog, s.node.config.Proposer, s.destination); err != nil && ctx.Err() == nil {
		s.node.config.Logger.Warn("recording that a bucket was listed failed; retrying at the end of the sync",
			"destination", s.destination.Id, "error", err)
	}
	return nil
}

func proveAccess(ctx context.Context, c *catalog.Catalog, proposer Proposer, d *pb.Destination) error {
	var proof *pb.ProveAccess
	if err := c.View(func(tx *catalog.Tx) (err error) {
		proof, err = tx.NewProof(d, time.Now())
		return err
	}); err != nil || proof == nil {
		return err
	}
	_, err := proposer.Propose(ctx, proof)
	return err
}

// watch ends the scan when the sync has ended or the leader is silent.
func (s *scan) watch(ctx context.Context) error {
	timeout := s.node.config.LeaderTimeout
	tick := time.NewTicker(min(watchEvery, timeout/4))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.mu.Lock()
		silent := time.Since(s.lastSeen)
		s.mu.Unlock()
		if silent > timeout {
			return fmt.Errorf("%w for %v", errLeaderSilent, silent.Round(time.Millisecond))
		}
		if !s.isRunning() {
			return errSyncEnded
		}
	}
}

// isRunning reports whether the sync runs in the catalog of this node. A sync that cannot
// be read counts as running.
func (s *scan) isRunning() (running bool) {
	_ = s.node.config.Catalog.View(func(tx *catalog.Tx) error {
		now, err := tx.Sync(s.sync.Org, s.sync.Id)
		running = err == nil && now.FinishedAt == 0 || err != nil && !errors.Is(err, catalog.ErrNotFound)
		return nil
	})
	return running
}
