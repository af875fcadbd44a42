package scanner

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
)

// publishEvery keeps progress at no more than four events a second.
const publishEvery = 250 * time.Millisecond

// job carries one sync out, from wherever the catalog says it stands.
type job struct {
	*Coordinator
	sync  *pb.Sync
	gauge gauge

	destination *pb.Destination
	segments    []*pb.Segment
	generation  *pb.Generation // nil before the first
}

func newJob(c *Coordinator, s *pb.Sync) *job {
	return &job{
		Coordinator: c, sync: s,
		gauge: gauge{sync: s, node: c.Worker.Node, started: time.Now(), tally: &Tally{}},
	}
}

// run does the sync and brings its end into the catalog. When ctx ends first, the
// sync stays running for the next coordinator, or was ended already.
func (j *job) run(ctx context.Context) {
	log := j.Logger.With("sync", j.sync.Id, "destination", j.sync.DestinationId)
	log.Info("sync started", "segments already recorded", j.sync.Segments)
	err := j.do(ctx)
	took := time.Since(j.gauge.started)
	if err == nil {
		p := j.gauge.progress(catalog.SyncCompleted, time.Now())
		j.metrics.ended(catalog.SyncCompleted, took)
		j.Publisher.Publish(p)
		log.Info("sync completed", "files", p.FilesScanned, "orphans", p.OrphanFiles, "took", took)
		return
	}
	if ctx.Err() != nil {
		if errors.Is(context.Cause(ctx), errEnded) {
			j.metrics.ended(catalog.SyncCancelled, took)
			j.Publisher.Publish(j.gauge.progress(catalog.SyncCancelled, time.Now()))
			log.Info("sync cancelled")
		}
		return
	}
	log.Error("sync failed", "error", err, "took", took)
	j.metrics.ended(catalog.SyncFailed, took)
	j.sweep()
	finish := &pb.FinishSync{SyncId: j.sync.Id, Status: catalog.SyncFailed, Error: reason(err), At: time.Now().UnixMilli()}
	if _, err := j.Proposer.Propose(ctx, finish); err != nil && !errors.Is(err, catalog.ErrConflict) {
		log.Error("the end of the sync could not be recorded; it will be tried again from its recorded segments", "error", err)
		// Not at once: what fails now fails in a moment, too.
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return
	}
	j.Publisher.Publish(j.gauge.progress(catalog.SyncFailed, time.Now()))
}

// sweep removes what a sync that came to nothing has sealed: a full disk must not stay
// full because of it. It must come before the sync is recorded as ended, since from then
// on another one of the destination may seal segments.
func (j *job) sweep() {
	keep, err := j.Keeper.segments(j.sync.DestinationId)
	if err == nil {
		err = j.Index.Sweep(j.sync.DestinationId, keep)
	}
	if err != nil {
		j.Logger.Warn("the segments of an ended sync stay until the next one", "sync", j.sync.Id, "error", err)
	}
}

func (j *job) do(ctx context.Context) error {
	if err := j.load(); err != nil {
		return err
	}
	if err := j.check(); err != nil {
		return err
	}
	bucket, err := j.Buckets.Open(ctx, j.destination)
	if err != nil {
		return err
	}
	publishing, stop := context.WithCancel(ctx)
	published := make(chan struct{})
	go func() {
		defer close(published)
		j.publish(publishing)
	}()
	defer func() {
		stop()
		<-published
	}()
	plan, err := j.plan(ctx, bucket)
	if err != nil {
		return err
	}
	if len(plan) > 0 {
		a := Assignment{SyncID: j.sync.Id, Destination: j.destination, Bucket: bucket, Plan: plan}
		if err := j.Worker.Scan(ctx, a, j.gauge.tally); err != nil {
			return err
		}
	}
	_, err = j.Proposer.Propose(ctx, &pb.PromoteSync{SyncId: j.sync.Id, At: time.Now().UnixMilli()})
	if err != nil {
		return fmt.Errorf("promote the result: %w", err)
	}
	return nil
}

// load reads where the sync stands.
func (j *job) load() error {
	return j.Catalog.View(func(tx *catalog.Tx) (err error) {
		if j.destination, err = tx.Destination(j.sync.Org, j.sync.DestinationId); err != nil {
			return fmt.Errorf("read the destination: %w", err)
		}
		if j.segments, err = tx.Segments(j.sync.Id); err != nil {
			return fmt.Errorf("read the recorded segments: %w", err)
		}
		j.generation, err = tx.Generation(j.sync.DestinationId)
		if errors.Is(err, catalog.ErrNotFound) {
			err = nil
		}
		j.gauge.expected = j.generation.GetFiles()
		return err
	})
}

// check makes sure that the recorded segments are whole on this node, and removes
// those which an earlier run sealed but did not record.
func (j *job) check() error {
	keep, err := j.Keeper.segments(j.sync.DestinationId)
	if err != nil {
		return err
	}
	for _, s := range j.segments {
		j.gauge.before += s.Files
		j.gauge.bytes += s.Bytes
		j.gauge.orphans += s.Orphans
		if s.FileSize == 0 {
			continue
		}
		if _, err := j.Index.Verify(j.sync.DestinationId, s.Id); err != nil {
			return fmt.Errorf("segment %s of an earlier run: %w", s.Id, err)
		}
		keep = append(keep, s.Id)
	}
	return j.Index.Sweep(j.sync.DestinationId, keep)
}

// plan cuts what remains of the key space into ranges: equal ones when a generation
// tells how the keys lie, else at the bucket's folders.
func (j *job) plan(ctx context.Context, bucket provider.Bucket) ([]PlannedRange, error) {
	space := Range{string(j.sync.Start), string(j.sync.End)}
	done := make([]Range, len(j.segments))
	for i, s := range j.segments {
		done[i] = Range{string(s.Start), string(s.End)}
	}
	remaining := Remaining(space, done)
	if len(remaining) == 0 {
		return nil, nil
	}
	if plan := j.fromLast(ctx, remaining); plan != nil {
		return plan, nil
	}
	return planned(remaining, probe(ctx, bucket, space.Start, space, j.Worker.Streams)), ctx.Err()
}

// fromLast plans by the last generation. Without a readable one it answers nil.
func (j *job) fromLast(ctx context.Context, remaining []Range) []PlannedRange {
	if j.generation == nil || j.generation.Files == 0 {
		return nil
	}
	view, err := j.Keeper.View(ctx, j.sync.DestinationId)
	if err != nil {
		j.Logger.Warn("the last generation cannot be read; the scan is planned anew", "destination", j.sync.DestinationId, "error", err)
		return nil
	}
	defer view.Release()
	n := parts(j.generation.Files, j.Worker.Streams)
	cuts, err := view.Cuts(n)
	if err != nil {
		j.Logger.Warn("the last generation cannot be read; the scan is planned anew", "destination", j.sync.DestinationId, "error", err)
		return nil
	}
	return equalParts(remaining, cuts, j.generation.Files/uint64(n))
}

func (j *job) publish(ctx context.Context) {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for {
		j.Publisher.Publish(j.gauge.progress(catalog.SyncRunning, time.Now()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// reason says why a sync failed, in words for the user: nothing of files, hosts or
// other inner matters, which the log has.
func reason(err error) string {
	var p *provider.Error
	var corrupt *index.CorruptError
	switch {
	case errors.As(err, &p):
		return fmt.Sprintf("%s: %s: %s", p.Op, p.Kind, p.Reason)
	case errors.Is(err, syscall.ENOSPC):
		return "the node's disk is full: free space, then start the sync again"
	case errors.As(err, &corrupt):
		return "a recorded segment was found damaged: start the sync again"
	}
	return "the node failed to carry the sync out: its log says why"
}
