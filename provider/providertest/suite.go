// Package providertest holds the promises of package provider as tests. Every
// implementation passes Run, the fake included.
package providertest

import (
	"testing"

	"firescan/provider"
)

// Quirks declare what a server, not an implementation, does wrong, so that it is seen
// in the test that runs against it. The zero value is a server without fault.
type Quirks struct {
	// Unfit reports that the server refuses or alters a key. Such a key is left out.
	Unfit func(key string) bool
	// RefusesPrefix reports that the server does not list a prefix.
	RefusesPrefix func(prefix string) bool
	// Stranger opens the server with credentials that it does not know. Nil is a server
	// that lets everybody in.
	Stranger func(t *testing.T) provider.Account
	// IgnoresCondition and IgnoresBatchCondition are set when the server deletes an
	// object in spite of a tag that it does not have.
	IgnoresCondition, IgnoresBatchCondition bool
	// GoneIsChanged is set when deleting an object with a tag fails if there is none.
	GoneIsChanged bool
	// ReadOnly opens the bucket with credentials that may list and read and nothing else.
	// Nil is a server that knows no such credentials.
	ReadOnly func(t *testing.T, bucket string) provider.Account
	// SmallPages is set when a list has fewer than 1,000 keys a page.
	SmallPages bool
}

// Open gives a fresh, empty bucket and the account that it belongs to.
type Open func(t *testing.T) (account provider.Account, bucket string)

// Run holds an implementation to its promises.
func Run(t *testing.T, open Open, quirks Quirks) {
	t.Helper()
	t.Run("lists", func(t *testing.T) { testLists(t, open, quirks) })
	t.Run("empty bucket", func(t *testing.T) { testEmpty(t, open) })
	t.Run("placeholders", func(t *testing.T) { testPlaceholders(t, open) })
	t.Run("objects", func(t *testing.T) { testObjects(t, open, quirks) })
	t.Run("batches", func(t *testing.T) { testBatch(t, open, quirks) })
	t.Run("batch size", func(t *testing.T) { testBatchSize(t, open) })
	t.Run("conditions", func(t *testing.T) { testConditions(t, open, quirks) })
	t.Run("probed conditions", func(t *testing.T) { testProbeConditions(t, open, quirks) })
	t.Run("folders", func(t *testing.T) { testFolders(t, open, quirks) })
	t.Run("buckets", func(t *testing.T) { testBuckets(t, open) })
	t.Run("missing bucket", func(t *testing.T) { testMissingBucket(t, open) })
	t.Run("cancelled", func(t *testing.T) { testCancelled(t, open) })
	t.Run("permissions", func(t *testing.T) { testProbe(t, open) })
	if quirks.ReadOnly != nil {
		t.Run("reading only", func(t *testing.T) { testReadOnly(t, open, quirks) })
	}
	if quirks.Stranger != nil {
		t.Run("unknown credentials", func(t *testing.T) { testStranger(t, open, quirks) })
	}
}

// fill puts a small object at each key; the body is the key.
func fill(t *testing.T, b provider.Bucket, keys []string) {
	t.Helper()
	for _, key := range keys {
		if err := b.Put(t.Context(), key, []byte(key)); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
	}
}

func wantKind(t *testing.T, err error, kinds ...provider.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want kind %v", kinds)
		return
	}
	for _, kind := range kinds {
		if provider.KindOf(err) == kind {
			return
		}
	}
	t.Errorf("error %q of kind %v, want kind %v", err, provider.KindOf(err), kinds)
}

// Decorate returns an account whose buckets are decorated.
func Decorate(a provider.Account, decorate func(provider.Bucket) provider.Bucket) provider.Account {
	return decorated{a, decorate}
}

type decorated struct {
	provider.Account
	decorate func(provider.Bucket) provider.Bucket
}

// Bucket implements provider.Account.
func (d decorated) Bucket(name string) provider.Bucket { return d.decorate(d.Account.Bucket(name)) }

// WithFallback decorates a bucket as in production, for servers that cannot be listed by
// ranges.
func WithFallback(b provider.Bucket) provider.Bucket {
	quick := provider.RetryOptions{Base: 1}
	return provider.Serial(provider.Retry(b, quick), provider.NewSerialMemory(provider.MaxSerialMemory))
}
