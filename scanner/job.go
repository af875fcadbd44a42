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
	"firescan/keyspace"
	"firescan/provider"
	"firescan/scanner/split"
)

// publishEvery keeps progress at no more than four events a second.
const publishEvery = 250 * time.Millisecond

// job carries one sync out, from wherever the catalog says it stands.
type job struct {
	*Coordinator
	sync *pb.Sync
	// term is that of this leader; inherited tells that an earlier one may have begun.
	term      uint64
	inherited bool
	gauge     gauge

	destination *pb.Destination
	bucket      provider.Bucket
	generation  *pb.Generation // nil before the first
}

func newJob(c *Coordinator, s *pb.Sync, term uint64, inherited bool) *job {
	return &job{
		Coordinator: c, sync: s, term: term, inherited: inherited,
		gauge: gauge{sync: s, started: time.Now()},
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
		p := j.gauge.completed(j.sync, time.Now())
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

func (j *job) do(ctx context.Context) (err error) {
	if err := j.load(); err != nil {
		return err
	}
	j.gauge.before, j.gauge.expected = recordedBy(j.sync), j.generation.GetFiles()
	if j.bucket, err = j.Buckets.Open(ctx, j.destination); err != nil {
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
	for {
		if err := newCrew(j).run(ctx); err != nil {
			return err
		}
		lost, err := j.Shards.Await(ctx, j.destination, j.sync.Id)
		if err != nil {
			return err
		}
		if len(lost) == 0 {
			break
		}
		j.Logger.Warn("a node that was lost had listed what nobody else has; it is listed again", "sync", j.sync.Id, "segments", len(lost))
		if _, err := j.Proposer.Propose(ctx, &pb.UnsealSegments{SyncId: j.sync.Id, Ids: lost}); err != nil {
			return fmt.Errorf("take back what was lost with a node: %w", err)
		}
		if err := j.load(); err != nil {
			return err
		}
	}
	_, err = j.Proposer.Propose(ctx, &pb.PromoteSync{SyncId: j.sync.Id, At: time.Now().UnixMilli()})
	if err != nil {
		return fmt.Errorf("promote the result: %w", err)
	}
	return j.load()
}

// load reads where the sync stands.
func (j *job) load() error {
	return j.Catalog.View(func(tx *catalog.Tx) (err error) {
		if j.sync, err = tx.Sync(j.sync.Org, j.sync.Id); err != nil {
			return fmt.Errorf("read the sync: %w", err)
		}
		if j.destination, err = tx.Destination(j.sync.Org, j.sync.DestinationId); err != nil {
			return fmt.Errorf("read the destination: %w", err)
		}
		j.generation, err = tx.Generation(j.sync.DestinationId)
		if errors.Is(err, catalog.ErrNotFound) {
			err = nil
		}
		return err
	})
}

// recordedBy counts what is in the recorded segments of a sync.
func recordedBy(s *pb.Sync) counts { return counts{s.FilesScanned, s.BytesScanned, s.OrphanFiles} }

// space is the key space of the sync.
func (j *job) space() keyspace.Range { return keyspace.NewRange(j.sync.Start, j.sync.End) }

// plan cuts what remains of the key space into ranges: equal ones when a generation
// tells how the keys lie, else at the bucket's folders.
func (j *job) plan(ctx context.Context, remaining []keyspace.Range, streams int) []split.PlannedRange {
	if len(remaining) == 0 {
		return nil
	}
	if plan := j.fromLast(ctx, remaining, streams); plan != nil {
		return plan
	}
	return split.FirstPlan(ctx, j.bucket, string(j.sync.Start), j.space(), remaining, streams)
}

// fromLast plans by the last generation: by its shard, which tells exactly, when this
// node has it, else by what the catalog knows of its segments. Without a generation it
// answers nil.
func (j *job) fromLast(ctx context.Context, remaining []keyspace.Range, streams int) []split.PlannedRange {
	if j.generation.GetFiles() == 0 {
		return nil
	}
	n := split.Parts(j.generation.Files, streams)
	view, err := j.Shards.View(ctx, j.sync.DestinationId)
	if err == nil {
		defer view.Release()
		var cuts [][]byte
		if cuts, err = view.Cuts(n); err == nil {
			return split.PlanByKeys(remaining, cuts, float64(j.generation.Files)/float64(n))
		}
	}
	j.Logger.Debug("the scan is planned by the segments of the last generation", "sync", j.sync.Id, "reason", err)
	var segments []*pb.Segment
	if err := j.Catalog.View(func(tx *catalog.Tx) (err error) {
		segments, err = tx.Segments(j.generation.Id)
		return err
	}); err != nil {
		j.Logger.Warn("the last generation cannot be read; the scan is planned anew", "sync", j.sync.Id, "error", err)
		return nil
	}
	return split.PlanBySegments(remaining, segments, n)
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
	var node *nodeError
	switch {
	case errors.As(err, &node):
		return node.Reason
	case errors.As(err, &p):
		return fmt.Sprintf("%s: %s: %s", p.Op, p.Kind, p.Reason)
	case errors.Is(err, syscall.ENOSPC):
		return "the node's disk is full: free space, then start the sync again"
	case errors.As(err, &corrupt):
		return "a recorded segment was found damaged: start the sync again"
	case errors.Is(err, catalog.ErrNoReplica):
		return "no node could take the whole index in: free space on the disks of the nodes, then start the sync again"
	}
	return "the node failed to carry the sync out: its log says why"
}

// elsewhere tells whether another node may succeed where this one failed with err: not
// when the provider has understood and refused.
func elsewhere(err error) bool {
	switch provider.KindOf(err) {
	case provider.Credentials, provider.Denied, provider.NoBucket, provider.NotFound, provider.Invalid:
		return false
	}
	return true
}
