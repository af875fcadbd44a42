package deletion

import (
	"context"

	"firescan/provider"
)

// remove deletes files that were looked up, each only while it is the object that was seen:
// by a condition where the bucket honors it, else by a second lookup right before.
func (op *operation) remove(ctx context.Context, files []*candidate) {
	var conditional, unconditional []*candidate
	for _, c := range files {
		if c.seen.Tag != "" && (op.conditions.Batch || op.conditions.Single) {
			conditional = append(conditional, c)
		} else {
			unconditional = append(unconditional, c)
		}
	}
	if op.conditions.Batch {
		op.removeBatch(ctx, conditional)
	} else {
		op.deleter.each(len(conditional), func(i int) {
			c := conditional[i]
			op.removeOne(ctx, c, c.seen.Tag)
		})
	}
	op.deleter.each(len(unconditional), func(i int) { op.removeUnconditionally(ctx, unconditional[i]) })
}

func (op *operation) removeBatch(ctx context.Context, files []*candidate) {
	if len(files) == 0 {
		return
	}
	objects := make([]provider.Deletion, len(files))
	for i, c := range files {
		objects[i] = provider.Deletion{Key: string(c.path), Tag: c.seen.Tag}
	}
	ctx, log := provider.LogAttempts(ctx)
	for i, err := range op.bucket.DeleteBatch(ctx, objects) {
		files[i].setResult(err, log)
	}
}

// removeOne deletes one file.
func (op *operation) removeOne(ctx context.Context, c *candidate, tag string) {
	ctx, log := provider.LogAttempts(ctx)
	err := op.bucket.Delete(ctx, string(c.path), tag)
	c.setResult(err, log)
}

// removeUnconditionally deletes a file if a second lookup finds the same object.
func (op *operation) removeUnconditionally(ctx context.Context, c *candidate) {
	before := c.seen
	op.statOne(ctx, c)
	if op.addTags(ctx, []*candidate{c}); c.err != nil {
		return
	}
	switch {
	case c.seen == nil:
		c.gone = true
	case c.seen.Tag != before.Tag || c.seen.Size != before.Size || c.seen.ModTime.Unix() != before.ModTime.Unix():
		c.err = ErrChanged
	default:
		op.removeOne(ctx, c, "")
	}
}
