// Package provider is the seam between firescan and object storage.
//
// A Bucket is one bucket of one account at one provider. The contract of an
// implementation is written at each method and proven by providertest, which every
// implementation passes, the in-memory one included. Retries, rate limits and metrics are
// decorators over the same interface (see Retry, Limit and Measure), so an implementation
// makes each call once and returns the kind of failure.
package provider

import (
	"context"
	"time"

	"firescan/keyspace"
)

// Bucket is a bucket that can be listed and probed. It is safe for concurrent use.
//
// Every error that a method returns is an *Error, or wraps the context's error
// when ctx ended first.
type Bucket interface {
	// List fills page with the objects that follow in req's range, in ascending
	// bytewise order of their keys. See ListRequest and Page for what they hold.
	//
	// A page that is cut short, empty, out of order or outside of the range is an error
	// of kind Corrupt, never the end of the list. On error the page's content is undefined.
	List(ctx context.Context, req ListRequest, page *Page) error

	// Stat returns the object at key, or an error of kind NotFound.
	Stat(ctx context.Context, key string) (Info, error)

	// Put stores a small object (up to 5 MiB), replacing what was there.
	Put(ctx context.Context, key string, body []byte) error

	// Delete removes the object at key. With a tag it does so only while the object has
	// that tag, and fails with kind Changed otherwise; an empty tag is no condition. An
	// object that does not exist is no error. Whether the server honors the condition is
	// for ProbeConditions to find out: some ignore it and delete.
	Delete(ctx context.Context, key, tag string) error

	// DeleteBatch removes up to MaxDeletions objects, each as Delete would, with as few
	// requests as the provider can do with. It returns one error for each object, in the
	// order of objects; nil is deleted. More than MaxDeletions are refused, all of them.
	DeleteBatch(ctx context.Context, objects []Deletion) []error
}

// MaxDeletions is the maximum number of objects of one DeleteBatch.
const MaxDeletions = 1000

// Deletion names one object to be deleted. Tag is as in Bucket.Delete.
type Deletion struct{ Key, Tag string }

// A SerialLister is a Bucket that can also be listed by the server's own continuation
// tokens.
type SerialLister interface {
	Bucket
	// ListSerial fills page with the objects with prefix that follow token, in any order,
	// including folder placeholders. An empty token begins the list; an empty next ends it.
	// It returns errors.ErrUnsupported when the provider is known to list correctly.
	ListSerial(ctx context.Context, prefix, token string, page *Page) (next string, err error)
}

// Account is what one set of credentials can do at one provider. It is safe for
// concurrent use.
type Account interface {
	// Buckets lists the account's buckets in ascending order of name.
	Buckets(ctx context.Context) ([]BucketInfo, error)
	// CreateBucket creates a bucket in the account's region, or in region when it is
	// not empty.
	CreateBucket(ctx context.Context, name, region string) error
	// Bucket binds the account to one bucket. It makes no request.
	Bucket(name string) Bucket
}

// BucketInfo is one bucket of an account. CreatedAt and Region may be zero where
// the provider does not report them.
type BucketInfo struct {
	Name      string
	Region    string
	CreatedAt time.Time
}

// Info is the result of Stat.
type Info struct {
	Key     string
	Size    int64
	ModTime time.Time
	// Tag is the ETag without quotes (S3) or the generation in decimal (GCS).
	Tag string
}

// ListRequest asks for one page of the keys k with Start <= k < End that begin
// with Prefix.
//
// A caller goes on where a page ended with Start = page.Next, never by a token,
// so that a list can be resumed, cut and split anywhere.
type ListRequest struct {
	// Prefix limits the list to keys that begin with it; empty is the whole bucket.
	Prefix string
	// Start is the first key wanted, inclusive; empty is from the beginning. The form
	// keyspace.After(key), a key with a zero byte behind it, is the cheapest for every
	// provider.
	Start string
	// End is the first key no longer wanted; empty is to the end of the prefix.
	End string
	// Delimiter, when not empty, folds keys that share a part up to the delimiter
	// into Page.Prefixes.
	Delimiter string
	// MaxKeys bounds the page; 0 is the provider's own maximum.
	MaxKeys int
	// Since permits Serial to serve the page from a listing that began at Since or later.
	// The zero time requests the state at the time of the call. A caller that lists many
	// pages sets it to the time when it began.
	Since time.Time
}

// Range returns the keys of the request: those that begin with Prefix and lie in
// [Start, End).
func (r ListRequest) Range() keyspace.Range {
	return keyspace.Prefix(r.Prefix).Intersect(keyspace.Range{Start: r.Start, End: r.End})
}
