package mem

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"firescan/provider"
)

type object struct {
	size    int64
	modTime time.Time
	tag     string
}

// store is one bucket's content. keys is the sorted view that lists read; a write
// drops it and the next list makes it again.
type store struct {
	region  string
	created time.Time

	mu      sync.RWMutex
	objects map[string]object
	keys    []string
}

func newStore(now time.Time) *store { return &store{created: now, objects: map[string]object{}} }

// read runs fn with the sorted keys under the read lock.
func (s *store) read(fn func(keys []string)) {
	s.mu.RLock()
	for s.keys == nil && len(s.objects) > 0 {
		s.mu.RUnlock()
		s.mu.Lock()
		if s.keys == nil {
			s.keys = slices.Sorted(maps.Keys(s.objects))
		}
		s.mu.Unlock()
		s.mu.RLock()
	}
	defer s.mu.RUnlock()
	fn(s.keys)
}

// bucket is the view of one bucket by one account.
type bucket struct {
	account *Account
	name    string
}

func (b *bucket) List(ctx context.Context, req provider.ListRequest, page *provider.Page) error {
	if err := provider.Ended(ctx, "list", b.name); err != nil {
		return err
	}
	faults := b.account.opts.Faults
	if faults.BeforeList != nil {
		if err := faults.BeforeList(ctx, b.name, req); err != nil {
			return err
		}
	}
	s, err := b.account.store("list", b.name)
	if err != nil {
		return err
	}
	s.read(func(keys []string) {
		name, found := b.shown(s, req)
		if found {
			keys = []string{name}
		}
		page.Fill(len(keys), func(i int) provider.Object {
			o, key := s.objects[keys[i]], keys[i]
			if found {
				key = req.Prefix
			}
			return provider.Object{Key: []byte(key), Tag: []byte(o.tag), Size: o.size, ModTime: o.modTime.UnixMilli()}
		}, req, b.account.opts.PageSize)
	})
	if faults.AfterList != nil {
		return faults.AfterList(ctx, b.name, req, page)
	}
	return nil
}

func (b *bucket) Stat(ctx context.Context, key string) (provider.Info, error) {
	if err := before(ctx, b.account.opts.Faults.Stat, "stat", b.name, key); err != nil {
		return provider.Info{}, err
	}
	s, err := b.account.store("stat", b.name)
	if err != nil {
		return provider.Info{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[b.nameOf(s, key)]
	if !ok {
		return provider.Info{}, &provider.Error{Kind: provider.NotFound, Op: "stat", Bucket: b.name, Reason: "the object does not exist"}
	}
	return provider.Info{Key: key, Size: o.size, ModTime: o.modTime, Tag: o.tag}, nil
}

func (b *bucket) Put(ctx context.Context, key string, body []byte) error {
	if err := before(ctx, b.account.opts.Faults.Put, "put", b.name, key); err != nil {
		return err
	}
	s, err := b.account.store("put", b.name)
	if err != nil {
		return err
	}
	if key == "" || len(key) > 1024 {
		return &provider.Error{Kind: provider.Invalid, Op: "put", Bucket: b.name, Reason: "a key has 1 to 1,024 bytes"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key = b.nameOf(s, key); key == "" {
		return &provider.Error{Kind: provider.Invalid, Op: "put", Bucket: b.name, Reason: "the name is empty"}
	}
	if _, ok := s.objects[key]; !ok {
		s.keys = nil
	}
	s.objects[key] = object{size: int64(len(body)), modTime: b.account.opts.Now(), tag: b.account.tagOf(body)}
	return nil
}
