package deletion

import (
	"context"

	"firescan/provider"
)

// remove deletes files that were looked at, each only while it is the one that was seen:
// by condition where the bucket honours that, else by looking again right before.
func (w *deletion) remove(ctx context.Context, todo []*candidate) {
	var tagged, bare []*candidate
	for _, t := range todo {
		if t.seen.Tag != "" && (w.conditions.Batch || w.conditions.Single) {
			tagged = append(tagged, t)
		} else {
			bare = append(bare, t)
		}
	}
	if w.conditions.Batch {
		w.removeBatch(ctx, tagged)
	} else {
		w.each(len(tagged), func(i int) {
			t := tagged[i]
			t.judge(w.bucket.Delete(ctx, string(t.path), t.seen.Tag))
		})
	}
	w.each(len(bare), func(i int) { w.removeSeen(ctx, bare[i]) })
}

func (w *deletion) removeBatch(ctx context.Context, candidates []*candidate) {
	if len(candidates) == 0 {
		return
	}
	batch := make([]provider.Deletion, len(candidates))
	for i, t := range candidates {
		batch[i] = provider.Deletion{Key: string(t.path), Tag: t.seen.Tag}
	}
	for i, err := range w.bucket.DeleteBatch(ctx, batch) {
		candidates[i].judge(err)
	}
}

// removeSeen deletes a file without a condition, if it still is the one that was seen.
func (w *deletion) removeSeen(ctx context.Context, t *candidate) {
	before := t.seen
	if w.lookAt(ctx, t); t.err != nil {
		return
	}
	switch {
	case t.seen == nil:
		t.gone = true
	case t.seen.Tag != before.Tag || t.seen.Size != before.Size || t.seen.ModTime.Unix() != before.ModTime.Unix():
		t.fail(ErrChanged)
	default:
		t.judge(w.bucket.Delete(ctx, string(t.path), ""))
	}
}

// judge notes what a call to delete the file has done.
func (t *candidate) judge(err error) {
	switch kind := provider.KindOf(err); {
	case err == nil, kind == provider.NotFound:
		t.removed()
	case kind == provider.Changed:
		t.fail(ErrChanged)
	default:
		t.fail(err)
		// After these the call, or one before it that was tried again, may still be on its way.
		t.open = kind.Temporary() || kind == provider.Internal
	}
}
