package gcs

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"firescan/provider"
)

var (
	_ provider.VersionRemover = (*bucket)(nil)
	_ provider.SoftDeleter    = (*bucket)(nil)
)

const (
	// keepingFor is how long is remembered what a bucket keeps of deleted objects.
	keepingFor = time.Minute
	// keepingRetry is when it is tried again to find that out.
	keepingRetry = 5 * time.Second
	// keepingTimeout bounds finding it out.
	keepingTimeout = 10 * time.Second
)

// keeping is what a bucket keeps of deleted objects.
type keeping struct {
	mu       sync.Mutex
	until    time.Time
	versions bool
	soft     time.Duration
}

// keepsVersions reports whether the deletion of the object at key, which had a tag, has kept
// it as a noncurrent generation. The response of a delete does not show it; the bucket's
// metadata do, and where the account may not read those, the generation itself.
// https://cloud.google.com/storage/docs/json_api/v1/buckets#resource
func (b *bucket) keepsVersions(ctx context.Context, key, tag string) bool {
	b.keeping.mu.Lock()
	defer b.keeping.mu.Unlock()
	b.look(ctx, func(ctx context.Context) (bool, time.Duration, error) {
		generation, err := strconv.ParseInt(tag, 10, 64)
		if err != nil {
			return false, 0, err
		}
		_, err = b.object(key).Generation(generation).Attrs(ctx)
		if errors.Is(err, storage.ErrObjectNotExist) {
			return false, 0, nil
		}
		return err == nil, 0, err
	})
	return b.keeping.versions
}

// SoftDelete implements provider.SoftDeleter. Objects that are deleted under the bucket's
// soft delete policy are billed until its retention duration is over, which is seven days by
// default. https://cloud.google.com/storage/docs/soft-delete
func (b *bucket) SoftDelete(ctx context.Context) time.Duration {
	b.keeping.mu.Lock()
	defer b.keeping.mu.Unlock()
	b.look(ctx, func(context.Context) (bool, time.Duration, error) { return false, 0, errors.ErrUnsupported })
	return b.keeping.soft
}

// look finds out what the bucket keeps, by its metadata or else by another way.
func (b *bucket) look(ctx context.Context, otherwise func(context.Context) (versions bool, soft time.Duration, err error)) {
	if time.Now().Before(b.keeping.until) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepingTimeout)
	defer cancel()
	attrs, err := b.account.client.Bucket(b.name).Attrs(ctx)
	if err == nil {
		b.keeping.versions, b.keeping.soft = attrs.VersioningEnabled, 0
		if p := attrs.SoftDeletePolicy; p != nil {
			b.keeping.soft = p.RetentionDuration
		}
	} else {
		versions, soft, err := otherwise(ctx)
		if err != nil {
			b.keeping.until = time.Now().Add(keepingRetry)
			return
		}
		b.keeping.versions, b.keeping.soft = versions, soft
	}
	b.keeping.until = time.Now().Add(keepingFor)
}

// RemoveVersions implements provider.VersionRemover: it removes all generations of an object.
func (b *bucket) RemoveVersions(ctx context.Context, key string) error {
	const op = "delete versions"
	if err := b.holds(op, key); err != nil {
		return err
	}
	query := &storage.Query{Prefix: key, Versions: true}
	if err := query.SetAttrSelection([]string{"Name", "Generation"}); err != nil {
		return err
	}
	list := b.account.client.Bucket(b.name).Objects(ctx, query)
	for {
		attrs, err := list.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return b.failed(ctx, op, err)
		}
		if attrs.Name != key {
			continue
		}
		if err := b.object(key).Generation(attrs.Generation).Delete(ctx); err != nil && !errors.Is(err, storage.ErrObjectNotExist) {
			return b.failed(ctx, op, err)
		}
	}
}
