// Package s3 speaks to object storage with the S3 API: Amazon's, DigitalOcean's Spaces
// and any compatible server.
package s3

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"firescan/provider"
)

// Config is the configuration of an account.
type Config struct {
	// Flavor is whose S3 it is; nil is Compatible where there is an endpoint, and Amazon
	// where there is none.
	Flavor *Flavor
	// Endpoint is the server's URL (scheme, host, port); empty is the flavor's own.
	Endpoint string
	// Region is the account's region; empty is DefaultRegion. Amazon's buckets are found
	// in any other region as well; Spaces has no server without one.
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	// SessionToken belongs to a temporary key; empty for others.
	SessionToken string
	// PathStyle puts the bucket in the path rather than in the host name, also where the
	// flavor does not need it.
	PathStyle bool
	// HTTPClient sends every request. It is required, because it carries the rules of
	// where we may connect to; see provider.Egress.
	HTTPClient *http.Client
}

// New returns an Account. It makes no request; wrong credentials fail the first call.
func New(c Config) (provider.Account, error) {
	if c.HTTPClient == nil {
		return nil, errors.New("s3: an HTTP client is required")
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return nil, &provider.Error{Kind: provider.Credentials, Op: "connect", Reason: "access key id and secret access key are required"}
	}
	flavor, region, endpoint := c.Flavor, c.Region, c.Endpoint
	if flavor == nil {
		if flavor = Compatible; endpoint == "" {
			flavor = Amazon
		}
	}
	if region != "" && !aRegion.MatchString(region) || region == "" && endpoint == "" && flavor.regionRequired {
		return nil, &provider.Error{Kind: provider.Invalid, Op: "connect", Reason: flavor.name + " needs a region, by its short name"}
	}
	if endpoint == "" && flavor.endpoint != nil {
		endpoint = flavor.endpoint(region)
	}
	if region == "" || flavor.signsFor != "" {
		region = cmp.Or(flavor.signsFor, DefaultRegion)
	}
	// A redirect is a response, which regional reads; its address is nowhere to go to.
	direct := *c.HTTPClient
	if direct.Transport == nil {
		direct.Transport = http.DefaultTransport
	}
	clock := &provider.Clock{}
	direct.Transport = clock.Measure(steady{direct.Transport})
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	// Credentials and settings come from the configuration alone, never from the
	// machine's environment or files: one process serves many organizations.
	client := s3.New(s3.Options{
		AppID:                      "firescan",
		Region:                     region,
		BaseEndpoint:               optional(endpoint),
		UsePathStyle:               c.PathStyle || flavor.pathStyle,
		Credentials:                credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken),
		HTTPClient:                 &direct,
		Retryer:                    aws.NopRetryer{}, // provider.Retry is the one that retries
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		APIOptions:                 []func(*middleware.Stack) error{hearRegion},
	})
	return &account{client: client, clock: clock, flavor: flavor, region: region}, nil
}

func (a *account) Bucket(name string) provider.Bucket { return &bucket{account: a, name: name} }

// ClockOffset returns the offset of the provider's clock; see provider.ClockOffset.
func (b *bucket) ClockOffset() (time.Duration, bool) { return b.account.clock.Offset() }

// maxBucketPage bounds a response with buckets: servers that do not page return all at once,
// in about 150 bytes each.
const maxBucketPage = 4 << 20

func (a *account) Buckets(ctx context.Context) ([]provider.BucketInfo, error) {
	var infos []provider.BucketInfo
	pages := s3.NewListBucketsPaginator(a.client, &s3.ListBucketsInput{})
	for pages.HasMorePages() {
		var out *s3.ListBucketsOutput
		err := a.regional(ctx, "", func(in func(*s3.Options)) (err error) {
			out, err = pages.NextPage(provider.WithResponseLimit(ctx, maxBucketPage), in, adding(ofBuckets))
			return err
		})
		if err != nil {
			return nil, failed(ctx, "buckets", "", err)
		}
		if len(infos)+len(out.Buckets) > provider.MaxBuckets {
			return nil, failed(ctx, "buckets", "", &provider.Untrusted{Cause: provider.ErrTooManyBuckets})
		}
		for _, b := range out.Buckets {
			infos = append(infos, provider.BucketInfo{
				Name: aws.ToString(b.Name), Region: aws.ToString(b.BucketRegion), CreatedAt: aws.ToTime(b.CreationDate),
			})
		}
	}
	slices.SortFunc(infos, func(x, y provider.BucketInfo) int { return strings.Compare(x.Name, y.Name) })
	return infos, nil
}

func (a *account) CreateBucket(ctx context.Context, name, region string) error {
	in := &s3.CreateBucketInput{Bucket: &name}
	var err error
	if a.flavor.constrains {
		region = cmp.Or(region, a.region)
		// It is the one region that must not be named.
		if region != DefaultRegion {
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
				LocationConstraint: types.BucketLocationConstraint(region),
			}
		}
		if !aRegion.MatchString(region) {
			return &provider.Error{Kind: provider.Invalid, Op: "create bucket", Bucket: name, Reason: "the region is not valid"}
		}
		_, err = a.client.CreateBucket(ctx, in, within(region))
	} else {
		// A compatible server has one region only.
		err = a.regional(ctx, "", func(within func(*s3.Options)) error {
			_, err := a.client.CreateBucket(ctx, in, within)
			return err
		})
	}
	if err != nil {
		return failed(ctx, "create bucket", name, err)
	}
	return nil
}
