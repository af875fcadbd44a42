package gcs

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"cloud.google.com/go/storage"
	"golang.org/x/sync/errgroup"

	"firescan/provider"
)

// deletions is how many objects of a batch are deleted at once. Google's own batches of
// requests answer each part by itself, too, and run no faster.
const deletions = 32

var (
	_ provider.SerialLister = (*bucket)(nil)
	_ provider.Permissioner = (*bucket)(nil)
)

// ClockOffset returns the offset of the provider's clock; see provider.ClockOffset.
func (b *bucket) ClockOffset() (time.Duration, bool) { return b.account.clock.Offset() }

func (b *bucket) Stat(ctx context.Context, key string) (provider.Info, error) {
	if err := b.holds(opStat, key); err != nil {
		return provider.Info{}, err
	}
	attrs, err := b.object(key).Attrs(ctx)
	if err != nil {
		return provider.Info{}, b.failed(ctx, opStat, err)
	}
	return provider.Info{
		Key: key, Size: attrs.Size, ModTime: attrs.Updated, Tag: strconv.FormatInt(attrs.Generation, 10),
	}, nil
}

func (b *bucket) Put(ctx context.Context, key string, body []byte) error {
	if err := b.holds(opPut, key); err != nil {
		return err
	}
	// A writer that is not closed leaves a goroutine behind; one whose context has ended
	// stores nothing when it is closed.
	writing, cancel := context.WithCancel(ctx)
	defer cancel()
	w := b.object(key).NewWriter(writing)
	w.ChunkSize = 0 // one request, nothing kept for resuming
	w.ContentType = "application/octet-stream"
	_, err := w.Write(body)
	if err != nil {
		cancel()
	}
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return b.failed(ctx, opPut, err)
	}
	return nil
}

// Delete removes an object; see provider.Bucket. The tag is its generation.
func (b *bucket) Delete(ctx context.Context, key, tag string) error {
	return b.remove(ctx, opDelete, key, tag)
}

// DeleteBatch removes objects by as many requests; see provider.Bucket.
func (b *bucket) DeleteBatch(ctx context.Context, objects []provider.Deletion) []error {
	if errs := provider.TooMany(len(objects), b.name); errs != nil {
		return errs
	}
	errs := make([]error, len(objects))
	var group errgroup.Group
	group.SetLimit(deletions)
	for i, o := range objects {
		group.Go(func() error {
			errs[i] = b.remove(ctx, opBatch, o.Key, o.Tag)
			return nil
		})
	}
	_ = group.Wait()
	return errs
}

// Generational implements provider.Generational. Emulators are not trusted with it.
func (b *bucket) Generational() bool { return !b.account.emulator }

func (b *bucket) remove(ctx context.Context, op, key, tag string) error {
	if err := b.holds(op, key); err != nil {
		return err
	}
	object := b.object(key)
	if tag != "" {
		generation, err := strconv.ParseInt(tag, 10, 64)
		if err != nil || generation <= 0 {
			return &provider.Error{Kind: provider.Changed, Op: op, Bucket: b.name, Reason: "no object has such a tag"}
		}
		object = object.If(storage.Conditions{GenerationMatch: generation})
	}
	sending, trace := provider.TraceSend(ctx)
	err := object.Delete(sending)
	if err == nil {
		if b.keepsVersions(ctx, key, tag) {
			provider.NoteVersioned(ctx, key)
		}
		return nil
	}
	if err = trace.Mark(b.failed(ctx, op, err)); provider.KindOf(err) == provider.NotFound {
		return nil
	}
	return err
}

// TestPermissions asks which permissions the account has in the bucket as a whole,
// without trying them. None at all is an error of kind Denied, since an account whose
// permissions hold for some names alone (IAM conditions) seems to have none; so it
// is tried. Emulators mostly do not know the call.
func (b *bucket) TestPermissions(ctx context.Context) (has []string, err error) {
	if err := b.usable(opTest); err != nil {
		return nil, err
	}
	all := slices.Sorted(maps.Values(permissions))
	if has, err = b.account.client.Bucket(b.name).IAM().TestPermissions(ctx, all); err != nil {
		return nil, b.failed(ctx, opTest, err)
	}
	if len(has) == 0 {
		return nil, &provider.Error{
			Kind: provider.Denied, Op: opTest, Bucket: b.name, Reason: "the credentials have no permission in the bucket as a whole",
		}
	}
	return has, nil
}

// NameCall implements provider.CallNamer. A batch is many single calls.
func (b *bucket) NameCall(op string) (permission, call string) {
	if op == opBatch {
		return "", ""
	}
	return permissions[op], calls[op]
}

func (b *bucket) object(key string) *storage.ObjectHandle {
	return b.account.client.Bucket(b.name).Object(key)
}
