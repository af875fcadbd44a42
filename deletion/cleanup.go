package deletion

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	pb "firescan/catalog/catalogpb"
	"firescan/index"
	"firescan/provider"
)

// maxCleanupErrors bounds the failures that the result of a cleanup names.
const maxCleanupErrors = 100

// CleanupResult is the result of a cleanup.
type CleanupResult struct {
	// Deleted is the number of deleted files, and Bytes the space that this has freed.
	Deleted, Bytes uint64
	// Versioned is the number of deleted files of which the bucket keeps a version, so that
	// their space is not freed.
	Versioned uint64
	// SoftDelete is how long the bucket keeps what is deleted, and has it paid for, before
	// the space is freed; 0 if it does not.
	SoftDelete time.Duration
	// Retained is the number of files that are under retention or a hold.
	Retained uint64
	// Failed is the number of files that were not deleted; Errors has the first hundred.
	Failed uint64
	Errors []Outcome
	// Resembling are orphans that were left out because they resemble missing backups.
	Resembling Resembling
	// Skipped counts the files that the cleanup has left by its plan.
	Skipped Skipped
	// Stopped is the reason why the cleanup ended before it reached all files; nil when it
	// reached all.
	Stopped error
}

// Cleanup deletes the files that Plan returns, each only if it is still as the index has it
// and no record needs it. When the plan is too large and not confirmed, or another plan was
// confirmed, the error is a *PlanError and nothing was started; so it is with a *ClockError.
//
// When ctx ends, started batches run to their end and the rest is not started; the result
// reports that.
func (d *Deleter) Cleanup(ctx context.Context, r CleanupRequest) (*CleanupResult, error) {
	if err := d.config.Catalog.Verify(ctx, verifiedForCleanup); err != nil {
		return nil, err
	}
	view, err := d.syncedView(ctx, r.Destination)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	if r, err = d.inProviderTime(ctx, r, true); err != nil {
		return nil, err
	}
	plan, err := d.plan(ctx, view, &r)
	switch {
	case err != nil:
		return nil, err
	case r.Confirm != "" && r.Confirm != plan.Hash:
		return nil, &PlanError{Plan: *plan, Confirmed: true}
	case r.Confirm == "" && plan.TooLarge():
		return nil, &PlanError{Plan: *plan}
	case plan.Files == 0:
		return &CleanupResult{Resembling: plan.Resembling, Skipped: plan.Skipped}, nil
	}
	op, err := d.begin(ctx, r.Destination, r.Who, true)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	log := d.config.Logger.With("destination", r.Destination.Id, "actor", r.Who)
	log.Info("orphan cleanup started", "files", plan.Files, "bytes", plan.Bytes)
	result, err := op.cleanup(ctx, view, &r, plan)
	if err != nil {
		return nil, err
	}
	if !r.Resembling {
		result.Resembling = plan.Resembling
	}
	plan.Skipped.KeptForOthers += result.Skipped.KeptForOthers
	result.Skipped = plan.Skipped
	log = log.With("deleted", result.Deleted, "failed", result.Failed, "took", time.Since(started).Round(time.Millisecond))
	if result.Stopped == nil {
		log.Info("orphan cleanup finished")
		d.reportCleanup(ctx, &r, plan, result)
	} else {
		log.Warn("orphan cleanup stopped early", "error", result.Stopped)
	}
	return result, nil
}

// reportCleanup records what a completed cleanup has left, with which the guards of the next
// one compare. If that fails, the guards stay as they were.
func (d *Deleter) reportCleanup(ctx context.Context, r *CleanupRequest, p *Plan, result *CleanupResult) {
	ctx, cancel := d.detach(ctx, d.limits.outcomeWait)
	defer cancel()
	_, err := d.config.Proposer.Propose(ctx, &pb.SetGuards{Org: r.Destination.Org, At: time.Now().UnixMilli(), Cleanup: &pb.CleanupReport{
		DestinationId: r.Destination.Id, Files: p.Of - min(p.Of, result.Deleted), Orphans: p.orphans - min(p.orphans, result.Deleted), Confirmed: r.Confirm != "",
	}})
	if err != nil {
		d.config.Logger.Warn("the guards of the next cleanup compare with an older state", "destination", r.Destination.Id, "error", err)
	}
}

// cleanup deletes the files of a view that the request selects.
func (op *operation) cleanup(ctx context.Context, view *index.View, r *CleanupRequest, plan *Plan) (*CleanupResult, error) {
	var totals cleanupTotals
	var group errgroup.Group
	group.SetLimit(op.deleter.limits.batches)
	var candidates []*candidate
	size := 0
	flush := func() {
		b := batch{candidates: candidates}
		candidates, size = nil, 0
		group.Go(func() error {
			err := op.run(ctx, b)
			if err == nil {
				totals.add(b.candidates)
			}
			return err
		})
	}
	_, _, readErr := view.Query(index.Query{OrphansOnly: true}, func(e *index.Entry) bool {
		if !plan.takes(r, e) {
			return true
		}
		c := &candidate{path: bytes.Clone(e.Path)}
		c.expect(e)
		if len(candidates) == op.maxFiles() || size+len(c.path) > maxBatchBytes {
			flush()
		}
		candidates, size = append(candidates, c), size+len(c.path)
		return op.startError() == nil
	})
	if readErr == nil {
		readErr = plan.aliases.failure()
	}
	if len(candidates) > 0 && readErr == nil {
		flush()
	}
	err := group.Wait()
	if readErr != nil {
		err = readErr
	}
	if err != nil && !op.hasStarted() {
		return nil, err
	}
	totals.result.Stopped = err
	if soft, ok := provider.As[provider.SoftDeleter](op.bucket); ok && totals.result.Deleted > 0 {
		totals.result.SoftDelete = soft.SoftDelete(context.WithoutCancel(ctx))
	}
	return &totals.result, nil
}

// cleanupTotals sums up batches. It is safe for concurrent use.
type cleanupTotals struct {
	mu     sync.Mutex
	result CleanupResult
}

func (t *cleanupTotals) add(candidates []*candidate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range candidates {
		o := c.outcome()
		switch {
		case o.Absent, errors.Is(o.Err, ErrNotFound):
		case o.Deleted:
			t.result.Deleted++
			t.result.Bytes += uint64(o.Freed())
			if o.Versioned {
				t.result.Versioned++
			}
		case o.Retained():
			t.result.Retained++
		case c.keptForOthers:
			t.result.Skipped.KeptForOthers++
		default:
			t.result.Failed++
			if len(t.result.Errors) < maxCleanupErrors {
				t.result.Errors = append(t.result.Errors, o)
			}
		}
	}
}
