package mem

import (
	"context"
	"time"

	"firescan/provider"
)

// Ignored are the conditions that a bucket does not honor, as some servers do not: it
// deletes whatever is there.
type Ignored struct{ Single, Batch bool }

// ClockOffset returns the configured offset; see provider.ClockOffset.
func (b *bucket) ClockOffset() (time.Duration, bool) { return b.account.opts.ClockOffset, true }

// Generational implements provider.Generational.
func (b *bucket) Generational() bool { return b.account.opts.Generations }

func (b *bucket) Delete(ctx context.Context, key, tag string) error {
	if b.account.opts.Ignore.Single {
		tag = ""
	}
	return b.remove(ctx, "delete", provider.Deletion{Key: key, Tag: tag})
}

func (b *bucket) DeleteBatch(ctx context.Context, objects []provider.Deletion) []error {
	if errs := provider.TooMany(len(objects), b.name); errs != nil {
		return errs
	}
	if fault := b.account.opts.Faults.DeleteBatch; fault != nil {
		if err := fault(ctx, b.name, objects); err != nil {
			return provider.ForEach(len(objects), err)
		}
	}
	errs := make([]error, len(objects))
	for i, o := range objects {
		if b.account.opts.Ignore.Batch {
			o.Tag = ""
		}
		errs[i] = b.remove(ctx, "delete batch", o)
	}
	return errs
}

func (b *bucket) remove(ctx context.Context, op string, d provider.Deletion) error {
	if err := before(ctx, b.account.opts.Faults.Delete, op, b.name, d.Key); err != nil {
		return err
	}
	s, err := b.account.store(op, b.name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := b.nameOf(s, d.Key)
	o, ok := s.objects[name]
	if !ok {
		return nil
	}
	if d.Tag != "" && d.Tag != o.tag {
		return &provider.Error{Kind: provider.Changed, Op: op, Bucket: b.name, Reason: "the object is not the one that was meant"}
	}
	delete(s.objects, name)
	s.keys = nil
	if b.account.opts.Versioned {
		provider.NoteVersioned(ctx, d.Key)
	}
	return nil
}
