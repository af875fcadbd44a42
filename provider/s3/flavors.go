package s3

import (
	"regexp"

	"firescan/provider"
)

// DefaultRegion is used where a configuration names none. Compatible servers mostly
// take it for their own.
const DefaultRegion = "us-east-1"

// Flavor is what is particular about one of the providers that speak S3. All that
// differs between them stands in the table of flavors; the code asks no names.
type Flavor struct {
	name string
	// ceiling is how many calls a second a bucket takes; 0 is not known.
	ceiling float64
	// endpoint makes the server's URL out of a region; nil leaves it to the SDK's rules.
	endpoint func(region string) string
	// regionRequired: there is no server without a region.
	regionRequired bool
	// signsFor is the region that requests are signed for; empty is the one in use.
	signsFor string
	// finds: the server names the region of a bucket when it is asked in another one.
	finds bool
	// constrains: a bucket is made in the region that its request names.
	constrains bool
	// pathStyle: the bucket stands in the path rather than in the host name.
	pathStyle bool
	// exact: lists are known to be ordered and to begin where they are asked to, so a page
	// that is not is damaged, and there is no fallback.
	exact bool
}

// The flavors of S3. Whether a server honors conditions of deletes is not here:
// provider.ProbeConditions finds it out.
var (
	Amazon = &Flavor{
		name: "Amazon S3", ceiling: provider.CeilingS3,
		finds: true, constrains: true, exact: true,
	}
	// Spaces is DigitalOcean's. It signs for Amazon's default region everywhere, and its
	// certificates do not cover bucket names with dots.
	// https://docs.digitalocean.com/products/spaces/reference/s3-compatibility/
	Spaces = &Flavor{
		name: "DigitalOcean Spaces", ceiling: provider.CeilingSpaces,
		endpoint:       func(region string) string { return "https://" + region + ".digitaloceanspaces.com" },
		regionRequired: true, signsFor: DefaultRegion, pathStyle: true, exact: true,
	}
	// Compatible is any other server.
	Compatible = &Flavor{name: "S3-compatible server", finds: true, pathStyle: true}
)

// Ceiling is how many calls a second a bucket takes when it is reached at the flavor's
// own endpoint; 0 is no limit that we know. See provider.NewLimiter.
func (f *Flavor) Ceiling() float64 { return f.ceiling }

// aRegion is what regions look like everywhere. A server's word for one becomes a part of
// a host name, so it must not be anything else.
var aRegion = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
