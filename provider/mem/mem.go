// Package mem is object storage in memory: the fake that stands in for a provider in
// tests. It keeps every promise of the seam and breaks them only by Faults.
package mem

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"firescan/provider"
)

// maxPage is the most entries of one page, as S3 has it.
const maxPage = 1000

// Options set up an Account. The zero value is a healthy account.
type Options struct {
	Faults Faults
	// Ignore are the conditions of deletes that are not honored.
	Ignore Ignored
	// ClockOffset is how far the provider's clock is ahead, as its responses show it. It
	// does not change Now.
	ClockOffset time.Duration
	// Generations gives each object a tag that no other object ever has, as Google does.
	Generations bool
	// Versioned keeps versions of deleted objects, which only shows in the log of attempts.
	Versioned bool
	// Renaming is how the server names objects; see Renamings.
	Renaming Renaming
	// PageSize bounds every page; 0 is 1,000.
	PageSize int
	// Now is the clock for modification times; nil is time.Now.
	Now func() time.Time
}

// Account holds buckets in memory. It is safe for concurrent use.
type Account struct {
	opts Options

	mu      sync.Mutex
	buckets map[string]*store

	generation atomic.Int64 // of the last object
}

var _ provider.Account = (*Account)(nil)

// New makes an account that holds the named buckets, all empty.
func New(opts Options, buckets ...string) *Account {
	if opts.PageSize <= 0 || opts.PageSize > maxPage {
		opts.PageSize = maxPage
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a := &Account{opts: opts, buckets: map[string]*store{}}
	for _, name := range buckets {
		a.buckets[name] = newStore(opts.Now())
	}
	return a
}

// Now is the account's time.
func (a *Account) Now() time.Time { return a.opts.Now() }

// Buckets lists the buckets.
func (a *Account) Buckets(ctx context.Context) ([]provider.BucketInfo, error) {
	if err := before(ctx, a.opts.Faults.Buckets, "buckets", "", ""); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	infos := make([]provider.BucketInfo, 0, len(a.buckets))
	for name, s := range a.buckets {
		infos = append(infos, provider.BucketInfo{Name: name, Region: s.region, CreatedAt: s.created})
	}
	slices.SortFunc(infos, func(x, y provider.BucketInfo) int { return strings.Compare(x.Name, y.Name) })
	return infos, nil
}

// CreateBucket makes an empty bucket.
func (a *Account) CreateBucket(ctx context.Context, name, region string) error {
	if err := before(ctx, a.opts.Faults.CreateBucket, "create bucket", name, ""); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.buckets[name] != nil:
		return &provider.Error{Kind: provider.Exists, Op: "create bucket", Bucket: name, Reason: "the bucket exists"}
	case len(name) < 3 || len(name) > 63 || strings.ToLower(name) != name || strings.ContainsAny(name, " _/"):
		return &provider.Error{Kind: provider.Invalid, Op: "create bucket", Bucket: name, Reason: "the bucket name is not valid"}
	}
	s := newStore(a.opts.Now())
	s.region = region
	a.buckets[name] = s
	return nil
}

// Bucket binds the account to one bucket, which need not exist.
func (a *Account) Bucket(name string) provider.Bucket { return &bucket{account: a, name: name} }

// Fill stores an empty-bodied object of the given size for each key, far faster than
// Put. The bucket is made if it is missing.
func (a *Account) Fill(bucket string, size int64, modTime time.Time, keys ...string) {
	a.mu.Lock()
	s := a.buckets[bucket]
	if s == nil {
		s = newStore(a.opts.Now())
		a.buckets[bucket] = s
	}
	a.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.objects[key] = object{size: size, modTime: modTime, tag: a.tagOf([]byte(key))}
	}
	s.keys = nil
}

func (a *Account) store(op, name string) (*store, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.buckets[name]; s != nil {
		return s, nil
	}
	return nil, &provider.Error{Kind: provider.NoBucket, Op: op, Bucket: name, Reason: "the bucket does not exist"}
}

func (a *Account) tagOf(body []byte) string {
	if a.opts.Generations {
		return strconv.FormatInt(a.generation.Add(1), 10)
	}
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}
