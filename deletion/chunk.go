package deletion

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

const (
	// outcomePause is between two tries to record an outcome.
	outcomePause = 500 * time.Millisecond
	// settleTime bounds looking at the files of which a call did not say what it did.
	settleTime = 15 * time.Second
	// maxReason bounds what an outcome says of a file, in bytes.
	maxReason = 100
)

// chunk is what one intent is about.
type chunk struct {
	candidates []*candidate
	// backups are the records that are deleted with the files.
	backups []string
	// doomed picks, once the outcomes are known, those of backups that are deleted.
	doomed func() []string
}

// split makes chunks of candidates, in order.
func (w *deletion) split(candidates []*candidate) []chunk {
	most := w.most()
	var chunks []chunk
	size := 0
	for i, t := range candidates {
		n := len(chunks) - 1
		if i == 0 || len(chunks[n].candidates) == most || size+len(t.path) > chunkBytes {
			chunks = append(chunks, chunk{})
			n, size = n+1, 0
		}
		chunks[n].candidates = append(chunks[n].candidates, t)
		size += len(t.path)
	}
	return chunks
}

// most is how many files a chunk may have.
func (w *deletion) most() int {
	if w.conditions.Batch {
		return w.paths
	}
	return w.singles
}

// run deletes a chunk: intent, provider, outcome. Each candidate then has its outcome. The
// error says why nothing was begun. It goes on when ctx ends, but does not begin then.
func (w *deletion) run(ctx context.Context, c chunk) error {
	err := context.Cause(ctx)
	if err == nil {
		err = w.broken()
	}
	if err == nil && !w.enter() {
		err = ErrStopping
	}
	if err == nil {
		defer w.work.Done()
		err = w.delete(ctx, c)
	}
	if err != nil {
		for _, t := range c.candidates {
			t.fail(err)
		}
	}
	w.note(err)
	return err
}

// delete is run, for a chunk that the deleter waits for.
func (w *deletion) delete(ctx context.Context, c chunk) error {
	// The time runs from before the intent is in the catalog, so that who waits longer from
	// when it is seen there knows that nothing is sent any more.
	ctx, cancel := w.outlive(ctx, w.chunkTime)
	defer cancel()

	id := catalog.NewID(catalog.KindIntent)
	if err := w.intend(ctx, id, c); err != nil {
		return err
	}
	marked := c.marked()
	if len(marked) == 0 && len(c.backups) == 0 {
		return nil // no intent was made
	}
	w.look(ctx, marked)
	w.remove(ctx, chosen(marked))
	if !w.settle(ctx, marked) {
		// The marks stay: a call that is still on its way to the file must not find that a
		// record has come to need it.
		w.Logger.Warn("a provider did not say what it has deleted; that is looked at again", "destination", w.destination.Id, "intent", id)
	} else if err := w.record(ctx, id, c, marked); err != nil {
		w.Logger.Warn("the outcome of a deletion could not be recorded; it is settled within minutes", "destination", w.destination.Id, "intent", id, "error", err)
	}
	w.metrics.count(c.candidates)
	return nil
}

// intend asks the catalog to mark the files, and notes those that it refuses.
func (w *deletion) intend(ctx context.Context, id string, c chunk) error {
	intent := &pb.BeginDelete{
		Org: w.destination.Org, DestinationId: w.destination.Id, Id: id, Who: w.who, Node: w.owner(), At: time.Now().UnixMilli(),
		Revision: w.destination.Revision, BackupIds: c.backups, Paths: make([][]byte, len(c.candidates)),
	}
	for i, t := range c.candidates {
		intent.Paths[i] = t.path
	}
	answer, err := w.Proposer.Propose(ctx, intent)
	if refused, ok := errors.AsType[*catalog.Error](err); ok {
		return refused
	}
	if err != nil {
		// It may be in the catalog all the same. Nothing was deleted, so it is taken back,
		// for which the request does not wait.
		w.conclude(ctx, &pb.FinishDelete{Org: w.destination.Org, Id: id})
		return fmt.Errorf("announce the deletion of %d files: %w", len(c.candidates), err)
	}
	for _, r := range answer.GetRejected() {
		c.candidates[r.GetIndex()].fail(&catalog.Error{Code: r.GetCode(), Message: r.GetMessage()})
	}
	return nil
}

// owner names this run of this node in intents.
func (d *Deleter) owner() string { return d.Node + "/" + d.Boot }

// marked are the candidates that the catalog did not refuse.
func (c *chunk) marked() []*candidate {
	var marked []*candidate
	for _, t := range c.candidates {
		if t.err == nil {
			marked = append(marked, t)
		}
	}
	return marked
}

// chosen are the candidates that are there and are what was decided about.
func chosen(marked []*candidate) []*candidate {
	var todo []*candidate
	for _, t := range marked {
		if t.choose() {
			todo = append(todo, t)
		}
	}
	return todo
}

// settle looks at those files of which a call did not say what it did. It answers false
// when that remains open for some.
func (w *deletion) settle(ctx context.Context, candidates []*candidate) bool {
	var open []*candidate
	for _, t := range candidates {
		if t.open {
			open = append(open, t)
		}
	}
	if len(open) == 0 {
		return true
	}
	ctx, cancel := w.outlive(ctx, settleTime)
	defer cancel()
	settled := true
	w.each(len(open), func(i int) {
		if _, err := w.bucket.Stat(ctx, string(open[i].path)); provider.KindOf(err) == provider.NotFound {
			open[i].removed()
		}
	})
	for _, t := range open {
		if t.open {
			t.fail(ErrUnsettled)
			settled = false
		}
	}
	return settled
}

// record tells the catalog what became of the files.
func (w *deletion) record(ctx context.Context, id string, c chunk, marked []*candidate) error {
	finish := &pb.FinishDelete{Org: w.destination.Org, Id: id}
	for _, t := range marked {
		finish.Outcomes = append(finish.Outcomes, t.Outcome().message())
	}
	if c.doomed != nil {
		finish.DeleteBackups = c.doomed()
	}
	timer := time.NewTimer(w.outcomeWait)
	defer timer.Stop()
	select {
	case err := <-w.conclude(ctx, finish):
		return err
	case <-timer.C:
		return errors.New("the catalog has not answered yet")
	}
}

// conclude proposes the end of an intent, also when ctx has ended, again while there is no
// leader, and tells when that is done. That the intent is not there any more is no error: then it was concluded.
func (w *deletion) conclude(ctx context.Context, finish *pb.FinishDelete) <-chan error {
	done := make(chan error, 1)
	w.work.Go(func() { // while the chunk is counted itself
		ctx, cancel := w.outlive(ctx, w.outcomeTime)
		defer cancel()
		for {
			finish.At = time.Now().UnixMilli()
			_, err := w.Proposer.Propose(ctx, finish)
			refused, final := errors.AsType[*catalog.Error](err)
			if final && errors.Is(refused, catalog.ErrConflict) {
				err = nil
			}
			if err == nil || final {
				done <- err
				return
			}
			select {
			case <-time.After(outcomePause):
			case <-ctx.Done():
				done <- err
				return
			}
		}
	})
	return done
}

// message is an outcome as the catalog has it.
func (o Outcome) message() *pb.Outcome {
	m := &pb.Outcome{Path: o.Path, Deleted: o.Deleted, Size: o.Size}
	switch {
	case o.Absent:
		m.Reason = "it was gone already"
	case o.Err != nil:
		m.Reason = Reason(o.Err)
	}
	return m
}

// Reason says for a person why a file was not deleted, in at most 100 bytes.
func Reason(err error) string {
	text := err.Error()
	if known, ok := errors.AsType[*provider.Error](err); ok {
		text = known.Reason
	}
	if len(text) > maxReason {
		text = text[:maxReason-3] + "..."
	}
	return strings.ToValidUTF8(text, "")
}
