package deletion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

const (
	// outcomeRetry is the time between two attempts to record an outcome.
	outcomeRetry = 500 * time.Millisecond
	// confirmTimeout bounds the lookup of files whose deletion was not confirmed.
	confirmTimeout = 15 * time.Second
)

// A batch is the subject of one intent.
type batch struct {
	candidates []*candidate
	// backups are the ids of records that are deleted with the files.
	backups []string
	// deletable returns, once the outcomes are known, the backups to delete.
	deletable func() []string
}

// split returns batches of candidates, in order.
func (op *operation) split(candidates []*candidate) []batch {
	limit := op.maxFiles()
	var batches []batch
	size := 0
	for i, c := range candidates {
		n := len(batches) - 1
		if i == 0 || len(batches[n].candidates) == limit || size+len(c.path) > maxBatchBytes {
			batches = append(batches, batch{})
			n, size = n+1, 0
		}
		batches[n].candidates = append(batches[n].candidates, c)
		size += len(c.path)
	}
	return batches
}

// maxFiles returns the maximum number of files in a batch.
func (op *operation) maxFiles() int {
	if op.conditions.Batch {
		return op.deleter.limits.paths
	}
	return op.deleter.limits.singles
}

// run deletes a batch: intent, provider, outcome. Each candidate then has its outcome. The
// error is the reason why it was not started. A started batch goes on when ctx ends.
func (op *operation) run(ctx context.Context, b batch) error {
	err := context.Cause(ctx)
	if err == nil {
		err = op.startError()
	}
	if err == nil && !op.deleter.enter() {
		err = ErrStopping
	}
	if err == nil {
		defer op.deleter.work.Done()
		err = op.delete(ctx, b)
	}
	if err != nil {
		for _, c := range b.candidates {
			c.err = err
		}
	}
	op.noteStart(err)
	return err
}

// delete runs a batch that Close waits for.
func (op *operation) delete(ctx context.Context, b batch) error {
	// The time runs from before the intent is in the catalog, so that whoever sees the
	// intent there and waits longer knows that nothing is sent anymore.
	ctx, cancel := op.deleter.detach(ctx, op.deleter.limits.batchTime)
	defer cancel()

	if op.bucket != nil {
		if err := op.proveAccess(ctx); err != nil {
			return err
		}
	}
	id := catalog.NewID(catalog.KindIntent)
	verdict, err := op.propose(ctx, id, b)
	if err != nil {
		return err
	}
	marked := b.marked()
	if len(marked) == 0 && len(b.backups) == 0 {
		return nil // no intent was made
	}
	// The links of one node may be damaged, and that of the leader has decided.
	if err := op.deleter.config.Verdicts.Confirm(ctx, verdict); err != nil {
		op.withdraw(ctx, id, marked, err)
		return fmt.Errorf("confirm the deletion of %d files: %w", len(marked), err)
	}
	op.stat(ctx, marked)
	if op.bucket != nil {
		if err := op.findUnseen(ctx); err != nil { // of records that were written since
			op.withdraw(ctx, id, marked, err)
			return err
		}
	}
	op.remove(ctx, op.withoutUnseen(checked(marked), b.backups))
	log := op.deleter.config.Logger.With("destination", op.destination.Id, "intent", id)
	op.confirm(ctx, marked)
	if err := op.record(ctx, id, b, marked); err != nil {
		log.Warn("the outcome of a deletion could not be recorded; it is recovered within minutes", "error", err)
	}
	op.deleter.metrics.count(b.candidates)
	return nil
}

// propose asks the catalog to mark the files, and records its refusals.
func (op *operation) propose(ctx context.Context, id string, b batch) (catalog.Verdict, error) {
	intent := &pb.BeginDelete{
		BelowNamed: true,
		Org:        op.destination.Org, DestinationId: op.destination.Id, Id: id, Who: op.who, Node: op.deleter.owner(),
		At: time.Now().UnixMilli(), Revision: op.destination.Revision, BackupIds: b.backups, Paths: make([][]byte, len(b.candidates)),
	}
	for i, c := range b.candidates {
		intent.Paths[i] = c.path
	}
	result, err := op.deleter.config.Proposer.Propose(ctx, intent)
	if refused, ok := errors.AsType[*catalog.Error](err); ok {
		return catalog.Verdict{}, refused
	}
	if err != nil {
		// It may be in the catalog all the same. Nothing was deleted, so it is withdrawn
		// without making the request wait.
		op.finish(ctx, &pb.FinishDelete{Org: op.destination.Org, Id: id})
		return catalog.Verdict{}, fmt.Errorf("propose the deletion of %d files: %w", len(b.candidates), err)
	}
	for _, r := range result.GetRejected() {
		b.candidates[r.GetIndex()].err = &catalog.Error{Code: r.GetCode(), Message: r.GetMessage()}
	}
	return catalog.NewVerdict(intent, result), nil
}

// withdraw ends an intent of which nothing was sent to the provider. The audit has the
// reason for each file.
func (op *operation) withdraw(ctx context.Context, id string, marked []*candidate, reason error) {
	finish := &pb.FinishDelete{Org: op.destination.Org, Id: id}
	for _, c := range marked {
		finish.Outcomes = append(finish.Outcomes, &pb.Outcome{Path: c.path, Reason: Reason(reason)})
	}
	op.finish(ctx, finish)
	op.deleter.config.Logger.Error("a deletion was withdrawn; nothing was deleted",
		"destination", op.destination.Id, "intent", id, "files", len(marked), "error", reason)
}

// owner names this run of this node in intents.
func (d *Deleter) owner() string { return d.config.Node + "/" + d.config.Boot }

// marked returns the candidates that the catalog did not refuse.
func (b *batch) marked() []*candidate {
	var marked []*candidate
	for _, c := range b.candidates {
		if c.err == nil {
			marked = append(marked, c)
		}
	}
	return marked
}

// checked returns the candidates that exist and are what was decided about.
func checked(marked []*candidate) []*candidate {
	var files []*candidate
	for _, c := range marked {
		if c.check() {
			files = append(files, c)
		}
	}
	return files
}

// confirm looks up the files whose deletion was not confirmed.
func (op *operation) confirm(ctx context.Context, candidates []*candidate) {
	var open []*candidate
	for _, c := range candidates {
		if c.unconfirmed {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return
	}
	ctx, cancel := op.deleter.detach(ctx, confirmTimeout)
	defer cancel()
	op.deleter.each(len(open), func(i int) {
		if _, err := op.bucket.Stat(ctx, string(open[i].path)); provider.KindOf(err) == provider.NotFound {
			open[i].setDeleted()
		}
	})
	for _, c := range open {
		if c.unconfirmed {
			c.err = ErrUnconfirmed
		}
	}
}

// holds reports whether a file has to stay marked after its outcome, since a call to delete
// it may still act on whatever is at its path by then.
func (op *operation) holds(c *candidate) bool {
	// A call that names a generation deletes nothing once that generation is gone.
	return c.ambiguous && !(c.gone && op.deletesGenerations())
}

// deletesGenerations reports whether the calls of the operation delete one generation of an
// object each, and the bucket is proven to honor that.
func (op *operation) deletesGenerations() bool {
	return (op.conditions.Batch || op.conditions.Single) && provider.IsGenerational(op.bucket)
}

// record stores the outcomes of the files in the catalog.
func (op *operation) record(ctx context.Context, id string, b batch, marked []*candidate) error {
	finish := &pb.FinishDelete{Org: op.destination.Org, Id: id}
	held := 0
	for _, c := range marked {
		hold := op.holds(c)
		finish.Outcomes = append(finish.Outcomes, c.message(hold))
		if hold {
			held++
		}
	}
	if held > 0 {
		op.deleter.config.Logger.Warn("a call to delete files had no response and may still act; no record may claim the files until it cannot",
			"destination", op.destination.Id, "intent", id, "files", held)
	}
	if b.deletable != nil {
		finish.DeleteBackups = b.deletable()
	}
	timer := time.NewTimer(op.deleter.limits.outcomeWait)
	defer timer.Stop()
	select {
	case err := <-op.finish(ctx, finish):
		return err
	case <-timer.C:
		return errors.New("the catalog has not responded yet")
	}
}

// finish proposes the end of an intent, also when ctx has ended and again while there is no
// leader, and sends the result. An intent that does not exist anymore is no error: it was
// finished before.
func (op *operation) finish(ctx context.Context, finish *pb.FinishDelete) <-chan error {
	done := make(chan error, 1)
	d := op.deleter
	d.work.Go(func() { // while the batch itself is counted
		ctx, cancel := d.detach(ctx, d.limits.outcomeTime)
		defer cancel()
		_, err := backoff.Retry(ctx, func() (struct{}, error) {
			finish.At = time.Now().UnixMilli()
			_, err := d.config.Proposer.Propose(ctx, finish)
			if refused, ok := errors.AsType[*catalog.Error](err); ok {
				if errors.Is(refused, catalog.ErrConflict) {
					return struct{}{}, nil
				}
				err = backoff.Permanent(refused)
			}
			return struct{}{}, err
		}, backoff.WithBackOff(backoff.NewConstantBackOff(outcomeRetry)), backoff.WithMaxElapsedTime(0))
		done <- err
	})
	return done
}
