package api

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"firescan/catalog"
	"firescan/provider"
)

// Endpoints checks the endpoints that users give.
type Endpoints interface {
	Check(endpoint string) error
}

// settings checks the settings of destinations and accounts.
type settings struct {
	types     []string
	endpoints Endpoints
}

const (
	maxName   = 200
	maxPath   = 512
	maxRegion = 64
	maxSecret = 16 << 10
)

// bucketName matches what S3 allows, and Google for names that are not domains.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$`)

// maxDomainBucket is the maximum length of a Google bucket name that is a domain. Each
// part has at most 63 characters.
const maxDomainBucket = 222

var domainBucket = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)+$`)

var regionName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// typeOf returns the type with the given name in any case, empty when this node cannot
// open it.
func (s *settings) typeOf(given string) string {
	i := slices.IndexFunc(s.types, func(t string) bool { return strings.EqualFold(t, given) })
	if i < 0 {
		return ""
	}
	return s.types[i]
}

func (s *settings) checkEndpoint(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	err := s.endpoints.Check(endpoint)
	if known, ok := errors.AsType[*provider.Error](err); ok {
		return refusedEndpoint(known)
	}
	if err != nil {
		return "cannot be checked"
	}
	if _, err := catalog.CanonicalEndpoint(endpoint); err != nil {
		return err.Error()
	}
	return ""
}

// refusedEndpoint returns why an endpoint was refused. Messages begin with the name of the
// field, so the reason must not.
func refusedEndpoint(e *provider.Error) string {
	return strings.TrimPrefix(strings.TrimPrefix(e.Reason, "an "), "endpoint ")
}

func checkName(name string) string {
	if strings.TrimSpace(name) == "" || len(name) > maxName || !printable(name) {
		return "must have 1 to 200 printable characters"
	}
	return ""
}

func checkBucket(typ, bucket string) string {
	google := typ == catalog.TypeGCS || typ == catalog.TypeFirebase
	if google && strings.Contains(bucket, ".") && len(bucket) <= maxDomainBucket && domainBucket.MatchString(bucket) {
		return ""
	}
	if !bucketName.MatchString(bucket) || strings.Contains(bucket, "..") {
		return "must have 3 to 63 lowercase letters, digits, hyphens, underscores and dots, and start and end with a letter or digit"
	}
	return ""
}

func checkRegion(region string) string {
	if region != "" && (len(region) > maxRegion || !regionName.MatchString(region)) {
		return "must have only letters, digits and hyphens"
	}
	return ""
}

// regionless returns the problem of a missing region where bucket names depend on it.
func regionless(typ, region, endpoint string) string {
	if typ == catalog.TypeSpaces && region == "" && endpoint == "" {
		return "is required: the region of a Space, such as nyc3"
	}
	return ""
}

// usualRegion returns the default region of new buckets.
func usualRegion(typ string) string {
	if typ == catalog.TypeGCS || typ == catalog.TypeFirebase {
		return "US"
	}
	return "us-east-1" // Spaces require a region
}

// checkPath checks a path without leading and trailing slashes.
func checkPath(path string) string {
	if len(path) > maxPath {
		return "must have at most 512 bytes"
	}
	if !printable(path) {
		return "must be printable UTF-8"
	}
	for segment := range strings.SplitSeq(path, "/") {
		if path != "" && (segment == "" || segment == "." || segment == "..") {
			return "must not have empty segments, '.' or '..'"
		}
	}
	return ""
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
