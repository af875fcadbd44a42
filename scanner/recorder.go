package scanner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

const (
	// maxSegmentsPerCommand bounds a command well below the largest log entry: a segment is
	// two keys of up to 1,024 bytes and some numbers.
	maxSegmentsPerCommand = 100
	// recordTimeout is how long recording may fail before the scan fails; a change of
	// leaders takes less.
	recordTimeout = 30 * time.Second
	// recordEvery is the least interval between two commands while there is work: each
	// costs every node a write.
	recordEvery = 30 * time.Millisecond
)

// A recorder records sealed segments in the catalog. Those sealed while a command is in
// flight go together into the next one.
type recorder struct {
	syncID   string
	proposer Proposer
	logger   *slog.Logger
	queue    chan *pb.Segment
	// recorded is called after segments were recorded.
	recorded func([]*pb.Segment)
	// isIdle reports whether no more segments are coming; changed is broadcast when it may
	// have changed.
	isIdle  func() bool
	changed *catalog.Signal
}

// record queues a sealed segment; it blocks while the catalog is behind.
func (r *recorder) record(ctx context.Context, s *pb.Segment) error {
	select {
	case r.queue <- s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run records queued segments until ctx ends.
func (r *recorder) run(ctx context.Context) error {
	for {
		began := time.Now()
		command := &pb.SealSegments{SyncId: r.syncID}
		select {
		case first := <-r.queue:
			command.Segments = append(command.Segments, first)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		r.linger(ctx, time.Until(began.Add(recordEvery)))
		for len(r.queue) > 0 && len(command.Segments) < maxSegmentsPerCommand {
			command.Segments = append(command.Segments, <-r.queue)
		}
		if err := r.propose(ctx, command); err != nil {
			return fmt.Errorf("record %d segments of sync %s: %w", len(command.Segments), r.syncID, err)
		}
		r.recorded(command.Segments)
	}
}

// linger waits for more segments unless none are coming.
func (r *recorder) linger(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed := r.changed.Wait()
		if r.isIdle() {
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

// propose proposes a command, which may take effect twice, until it succeeds or is
// refused. A conflict means that another node has recorded keys of the same range or that
// the sync has ended.
func (r *recorder) propose(ctx context.Context, command *pb.SealSegments) error {
	interval := backoff.NewExponentialBackOff()
	interval.InitialInterval, interval.Multiplier, interval.MaxInterval = 50*time.Millisecond, 2, time.Second
	_, err := backoff.Retry(ctx, func() (*pb.Result, error) {
		result, err := r.proposer.Propose(ctx, command)
		if errors.Is(err, catalog.ErrConflict) {
			return nil, backoff.Permanent(fmt.Errorf("%w (%w)", errLeaseLost, err))
		}
		if _, refused := errors.AsType[*catalog.Error](err); refused {
			return nil, backoff.Permanent(err)
		}
		return result, err
	}, backoff.WithBackOff(interval), backoff.WithMaxElapsedTime(recordTimeout), backoff.WithNotify(func(err error, _ time.Duration) {
		r.logger.Debug("recording segments failed; retrying", "sync", r.syncID, "error", err)
	}))
	return err
}
