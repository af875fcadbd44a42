package scanner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	// maxFacts bounds the segments of one command well below the greatest log entry:
	// two keys of 1,024 bytes each and some numbers.
	maxFacts = 100
	// recordWithin is how long a segment may fail to be recorded before the scan gives up:
	// a change of leaders takes less.
	recordWithin = 30 * time.Second
	// recordEvery is how often facts are proposed at most while there is work: each time
	// costs every node a write.
	recordEvery = 30 * time.Millisecond
)

// recorder brings sealed segments into the catalog: those that are sealed while a
// command is under way go together into the next.
type recorder struct {
	scan  *scan
	queue chan *pb.Segment
}

// record hands a sealed segment over; it waits while the catalog is behind.
func (r *recorder) record(ctx context.Context, s *pb.Segment) error {
	select {
	case r.queue <- s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run proposes what is recorded until ctx ends.
func (r *recorder) run(ctx context.Context) error {
	for {
		began := time.Now()
		facts := &pb.SealSegments{SyncId: r.scan.sync.Id}
		select {
		case first := <-r.queue:
			facts.Segments = append(facts.Segments, first)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		r.linger(ctx, time.Until(began.Add(recordEvery)))
		for len(r.queue) > 0 && len(facts.Segments) < maxFacts {
			facts.Segments = append(facts.Segments, <-r.queue)
		}
		if err := r.propose(ctx, facts); err != nil {
			return fmt.Errorf("record %d segments of sync %s: %w", len(facts.Segments), facts.SyncId, err)
		}
		r.scan.settled(facts.Segments)
	}
}

// linger waits a while for more, unless nothing more is under way.
func (r *recorder) linger(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed := r.scan.changed.Wait()
		if r.scan.table.Spare(r.scan.Streams) == r.scan.Streams {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// propose brings the facts into the catalog, again and again while that fails for
// reasons that pass: they may be proposed twice. A conflict is final: another node has
// recorded keys of the same range, or the sync has ended.
func (r *recorder) propose(ctx context.Context, facts *pb.SealSegments) error {
	giveUp := time.Now().Add(recordWithin)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		_, err := r.scan.Proposer.Propose(ctx, facts)
		if errors.Is(err, catalog.ErrConflict) {
			return fmt.Errorf("%w (%w)", errLost, err)
		}
		if _, refused := errors.AsType[*catalog.Error](err); err == nil || refused || time.Now().After(giveUp) {
			return err
		}
		r.scan.Logger.Debug("segments could not be recorded; tried again", "sync", facts.SyncId, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
