package node

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
	"firescan/provider/gcs"
	"firescan/provider/s3"
)

// buckets opens buckets: of destinations with their stored credentials, and with credentials
// that are only tested. It is safe for concurrent use.
type buckets struct {
	catalog  *catalog.Catalog
	keys     *keys
	egress   *provider.Egress
	metrics  *provider.Metrics
	limiters provider.Limiters
	memory   *provider.SerialMemory
	// gcsKeyDir has a directory per organization, with the Google key files that its
	// destinations may name; empty means none.
	gcsKeyDir string

	mu   sync.Mutex
	open map[string]openBucket // by destination
}

// openBucket is valid until its destination is changed.
type openBucket struct {
	revision  uint64
	updatedAt int64
	bucket    provider.Bucket
}

func newBuckets(c *catalog.Catalog, k *keys, egress *provider.Egress, metrics *provider.Metrics, gcsKeyDir string) *buckets {
	return &buckets{catalog: c, keys: k, egress: egress, metrics: metrics, memory: provider.NewSerialMemory(provider.MaxSerialMemory), gcsKeyDir: gcsKeyDir, open: map[string]openBucket{}}
}

// Open returns the bucket of a destination, with retries, rate limit and metrics. The rate
// limit is shared by all destinations of the bucket.
func (b *buckets) Open(_ context.Context, d *pb.Destination) (provider.Bucket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.open[d.Id]; ok && known.revision == d.Revision && known.updatedAt == d.UpdatedAt {
		return known.bucket, nil
	}
	credentials := make(map[string]string, len(d.Sealed))
	for field, sealed := range d.Sealed {
		plain, err := b.keys.Open(d.Org, d.Id, field, sealed)
		if err != nil {
			return nil, fmt.Errorf("decrypt the credentials of destination %s: %w", d.Id, err)
		}
		credentials[field] = plain
	}
	account, err := b.account(d.Org, d.Type, d.Endpoint, d.Region, credentials) //nolint:contextcheck // it is kept, and each call brings its own
	if err != nil {
		return nil, err
	}
	limiter := b.limiters.For(catalog.BucketID(d), ceiling(d))
	bucket := provider.Compose(account.Bucket(d.Bucket), d.Type, limiter, b.metrics, provider.RetryOptions{}, b.memory)
	b.open[d.Id] = openBucket{d.Revision, d.UpdatedAt, bucket}
	return bucket, b.forget()
}

// testRetries bounds the retries when credentials are tested: a user waits for the result.
var testRetries = provider.RetryOptions{Attempts: 3, Timeout: 20 * time.Second}

// Account returns the account of credentials that are not stored, for an organization.
func (b *buckets) Account(_ context.Context, org, providerType, endpoint, region string, credentials map[string]string) (provider.Account, error) {
	account, err := b.account(org, providerType, endpoint, region, credentials) //nolint:contextcheck // each call brings its own
	if err != nil {
		return nil, err
	}
	return testedAccount{account, func(bucket provider.Bucket) provider.Bucket {
		// A separate limiter, so that the names of tested buckets are not kept.
		pace := provider.NewLimiter(ceiling(&pb.Destination{Type: providerType, Endpoint: endpoint}))
		return provider.Compose(bucket, providerType, pace, b.metrics, testRetries, b.memory)
	}}, nil
}

// testedAccount adds retries, rate limit and metrics to the buckets of an account.
type testedAccount struct {
	provider.Account
	surround func(provider.Bucket) provider.Bucket
}

// Bucket implements provider.Account.
func (t testedAccount) Bucket(name string) provider.Bucket { return t.surround(t.Account.Bucket(name)) }

func (b *buckets) account(org, providerType, endpoint, region string, credentials map[string]string) (provider.Account, error) {
	if endpoint != "" {
		if err := b.egress.Check(endpoint); err != nil {
			return nil, err
		}
	}
	switch providerType {
	case catalog.TypeS3:
		return s3.New(s3.Config{
			Endpoint: endpoint, Region: region,
			AccessKeyID: credentials[accessKeyID], SecretAccessKey: credentials[secretAccessKey], SessionToken: credentials[sessionToken],
			// Self-hosted servers rarely have a host name for each bucket.
			PathStyle: endpoint != "", HTTPClient: b.egress.HTTPClient(),
		})
	case catalog.TypeSpaces:
		return s3.New(s3.Config{
			Flavor: s3.Spaces, Endpoint: endpoint, Region: region,
			AccessKeyID: credentials[accessKeyID], SecretAccessKey: credentials[secretAccessKey],
			HTTPClient: b.egress.HTTPClient(),
		})
	case catalog.TypeGCS, catalog.TypeFirebase:
		return gcs.New(gcs.Config{
			Firebase: providerType == catalog.TypeFirebase, Endpoint: endpoint, Location: region,
			ProjectID: credentials[projectID], Key: credentials[serviceAccountKey],
			KeyFilename: credentials[keyFilename], KeyDir: b.gcsKeyDir, KeyOwner: org,
			HTTPClient: b.egress.HTTPClient(),
		})
	default:
		return nil, &provider.Error{
			Kind: provider.Invalid, Op: "connect",
			Reason: fmt.Sprintf("this version of firescan does not connect to %s", providerType),
		}
	}
}

// providerTypes are the types of destinations that account opens.
var providerTypes = []string{catalog.TypeS3, catalog.TypeGCS, catalog.TypeSpaces, catalog.TypeFirebase}

// The credential fields of the Storage API.
const (
	accessKeyID       = "accessKeyId"
	secretAccessKey   = "secretAccessKey"
	sessionToken      = "sessionToken"
	keyFilename       = "keyFilename"
	projectID         = "projectId"
	serviceAccountKey = "credentials"
)

// checkKeyDir returns an error at the start, and not at the first use, when the directory of
// key files does not exist. Empty means no directory.
func checkKeyDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("--gcs-key-dir: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("--gcs-key-dir %s is not a directory", dir)
	}
	return nil
}

// ceiling returns the provider's limit of calls per second; 0 for self-hosted servers, whose
// limit is unknown.
func ceiling(d *pb.Destination) float64 {
	if d.Endpoint != "" {
		return 0
	}
	switch d.Type {
	case catalog.TypeS3:
		return provider.CeilingS3
	case catalog.TypeSpaces:
		return provider.CeilingSpaces
	case catalog.TypeGCS, catalog.TypeFirebase:
		return provider.CeilingGCS
	}
	return 0
}

// forget drops the buckets of deleted destinations, and with them their decrypted
// credentials, and the limiters of buckets that no destination has. It is called when a bucket
// is opened, which is rare.
func (b *buckets) forget() error {
	known, inUse := map[string]bool{}, map[string]bool{}
	if err := b.catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.AllDestinations()
		for _, d := range all {
			known[d.Id], inUse[catalog.BucketID(d)] = true, true
		}
		return err
	}); err != nil {
		return err
	}
	for id := range b.open {
		if !known[id] {
			delete(b.open, id)
		}
	}
	b.limiters.Retain(inUse)
	return nil
}

// ShareRate limits this node to a part of the calls that the provider's limit allows for the
// bucket of a destination. Without a limit it does nothing.
func (b *buckets) ShareRate(d *pb.Destination, part float64) {
	if most := ceiling(d); most > 0 {
		b.limiters.For(catalog.BucketID(d), most).SetCeiling(most * part)
	}
}
