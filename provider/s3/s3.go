// Package s3 speaks to object storage with the S3 API: Amazon's, DigitalOcean's Spaces
// and any compatible server.
package s3

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"firescan/provider"
)

// DefaultRegion is used where a configuration names none. Compatible servers mostly
// take it for their own.
const DefaultRegion = "us-east-1"

// Config says where and as whom.
type Config struct {
	// Endpoint is the server's URL (scheme, host, port); empty is Amazon S3.
	Endpoint string
	// Region is the account's region; empty is DefaultRegion.
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	// PathStyle puts the bucket in the path rather than in the host name, as most
	// servers that are not Amazon's need it.
	PathStyle bool
	// HTTPClient sends every request. It is required, because it carries the rules of
	// where we may connect to; see provider.Egress.
	HTTPClient *http.Client
}

// New makes an Account. It makes no request; wrong credentials show at the first call.
func New(c Config) (provider.Account, error) {
	if c.HTTPClient == nil {
		return nil, errors.New("s3: an HTTP client is required")
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return nil, &provider.Error{Kind: provider.Credentials, Op: "connect", Reason: "access key id and secret access key are required"}
	}
	region := c.Region
	if region == "" {
		region = DefaultRegion
	}
	// Credentials and settings come from the configuration alone, never from the
	// machine's environment or files: one process serves many organisations.
	client := s3.New(s3.Options{
		AppID:                      "firescan",
		Region:                     region,
		BaseEndpoint:               optional(c.Endpoint),
		UsePathStyle:               c.PathStyle,
		Credentials:                credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
		HTTPClient:                 c.HTTPClient,
		Retryer:                    aws.NopRetryer{}, // provider.Retry is the one that retries
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	return &account{client: client, region: region, aws: c.Endpoint == ""}, nil
}

type account struct {
	client *s3.Client
	region string
	aws    bool
}

func (a *account) Bucket(name string) provider.Bucket { return &bucket{account: a, name: name} }

func (a *account) Buckets(ctx context.Context) ([]provider.BucketInfo, error) {
	var infos []provider.BucketInfo
	pages := s3.NewListBucketsPaginator(a.client, &s3.ListBucketsInput{})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, failed(ctx, "buckets", "", err)
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
	if region == "" {
		region = a.region
	}
	in := &s3.CreateBucketInput{Bucket: &name}
	// us-east-1 is the one region that must not be named. Compatible servers have ideas
	// of their own about regions, and one alone.
	if a.aws && region != DefaultRegion {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(region),
		}
	}
	_, err := a.client.CreateBucket(ctx, in, func(o *s3.Options) {
		if a.aws {
			o.Region = region
		}
	})
	if err != nil {
		return failed(ctx, "create bucket", name, err)
	}
	return nil
}
