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

// buckets opens buckets at providers: for destinations with the credentials that
// they have stored, and with credentials that are only tried. It is safe for concurrent
// use.
type buckets struct {
	catalog  *catalog.Catalog
	keys     *keys
	egress   *provider.Egress
	metrics  *provider.Metrics
	limiters provider.Limiters
	memory   *provider.SerialMemory
	// gcsKeyDir is where destinations may name key files of Google's; empty is nowhere.
	gcsKeyDir string

	mu   sync.Mutex
	open map[string]openBucket // by destination
}

// openBucket is good as long as its destination stays as it was.
type openBucket struct {
	revision  uint64
	updatedAt int64
	bucket    provider.Bucket
}

func newBuckets(c *catalog.Catalog, k *keys, egress *provider.Egress, metrics *provider.Metrics, gcsKeyDir string) *buckets {
	return &buckets{catalog: c, keys: k, egress: egress, metrics: metrics, memory: provider.NewSerialMemory(provider.MaxSerialMemory), gcsKeyDir: gcsKeyDir, open: map[string]openBucket{}}
}

// Open is the bucket of a destination, surrounded by retries, pace and metrics. All
// who open the bucket, also through another destination, share one pace.
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
	account, err := b.account(d.Type, d.Endpoint, d.Region, credentials) //nolint:contextcheck // it is kept, and each call brings its own
	if err != nil {
		return nil, err
	}
	limiter := b.limiters.For(catalog.BucketID(d), ceiling(d))
	bucket := provider.Compose(account.Bucket(d.Bucket), d.Type, limiter, b.metrics, provider.RetryOptions{}, b.memory)
	b.open[d.Id] = openBucket{d.Revision, d.UpdatedAt, bucket}
	return bucket, b.forget()
}

// tryHard is how often and how long credentials are tried: somebody sits before a form
// and wants to know, but a hiccup is no answer.
var tryHard = provider.RetryOptions{Attempts: 3, Timeout: 20 * time.Second}

// Account speaks to a provider with credentials that are not stored.
func (b *buckets) Account(_ context.Context, providerType, endpoint, region string, credentials map[string]string) (provider.Account, error) {
	account, err := b.account(providerType, endpoint, region, credentials) //nolint:contextcheck // each call brings its own
	if err != nil {
		return nil, err
	}
	return tried{account, func(bucket provider.Bucket) provider.Bucket {
		// A pace of its own: names that were only tried must not be remembered.
		pace := provider.NewLimiter(ceiling(&pb.Destination{Type: providerType, Endpoint: endpoint}))
		return provider.Compose(bucket, providerType, pace, b.metrics, tryHard, b.memory)
	}}, nil
}

// tried is an account whose buckets are surrounded by retries, pace and metrics.
type tried struct {
	provider.Account
	surround func(provider.Bucket) provider.Bucket
}

// Bucket implements provider.Account.
func (t tried) Bucket(name string) provider.Bucket { return t.surround(t.Account.Bucket(name)) }

func (b *buckets) account(providerType, endpoint, region string, credentials map[string]string) (provider.Account, error) {
	if endpoint != "" {
		if err := b.egress.Check(endpoint); err != nil {
			return nil, err
		}
	}
	switch providerType {
	case catalog.TypeS3:
		return s3.New(s3.Config{
			Endpoint: endpoint, Region: region,
			AccessKeyID: credentials[accessKeyID], SecretAccessKey: credentials[secretAccessKey],
			// Servers of one's own rarely have a name for each bucket.
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
			KeyFilename: credentials[keyFilename], KeyDir: b.gcsKeyDir,
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
	keyFilename       = "keyFilename"
	projectID         = "projectId"
	serviceAccountKey = "credentials"
)

// checkKeyDir tells at the start, and not in somebody's form, that there is no such
// directory of key files. None at all is right, too.
func checkKeyDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("--gcs-key-dir: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("--gcs-key-dir %s is no directory", dir)
	}
	return nil
}

// ceiling is the provider's own limit of calls a second; servers of one's own have
// none that we know.
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

// forget drops the buckets of destinations that are gone, and with them their
// decrypted credentials. It is called when a bucket was opened anew, which is rare.
func (b *buckets) forget() error {
	known := map[string]bool{}
	if err := b.catalog.View(func(tx *catalog.Tx) error {
		all, err := tx.AllDestinations()
		for _, d := range all {
			known[d.Id] = true
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
	return nil
}
