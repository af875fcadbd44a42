package api

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/provider"
)

// destinationInput is the body that creates or updates a destination; what is nil
// was not given.
type destinationInput struct {
	Name        *string     `json:"name"`
	Type        *string     `json:"type"`
	Bucket      *string     `json:"bucket"`
	Path        *string     `json:"path"`
	Region      *string     `json:"region"`
	Endpoint    *string     `json:"endpoint"`
	Credentials credentials `json:"credentials"`
}

const (
	maxName   = 200
	maxPath   = 512
	maxRegion = 64
	maxSecret = 16 << 10
)

// bucketName is what S3 allows, and Google in names that are no domain.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$`)

// maxDomainBucket is the length of a bucket name of Google's that is a domain, of which
// each part has at most 63 characters.
const maxDomainBucket = 222

var domainBucket = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)+$`)

var regionName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// fill puts what was given into d, and refuses what cannot be right. Credentials are
// encrypted here: they are in no command in the clear.
func (s *Server) fill(d *pb.Destination, in *destinationInput, create bool) error {
	wrong := fieldErrors{}
	if in.Type != nil {
		s.fillType(d, *in.Type, create, wrong)
	}
	text := func(name string, given *string, into *string, required bool, check func(string) string) {
		switch {
		case given != nil:
			if problem := check(*given); problem != "" {
				wrong[name] = problem
				return
			}
			*into = *given
		case create && required:
			wrong[name] = "is required"
		}
	}
	text("name", in.Name, &d.Name, true, checkName)
	text("bucket", in.Bucket, &d.Bucket, true, func(b string) string { return checkBucket(d.Type, b) })
	text("region", in.Region, &d.Region, false, checkRegion)
	text("endpoint", in.Endpoint, &d.Endpoint, false, s.checkEndpoint)
	if in.Path != nil {
		path := strings.Trim(*in.Path, "/")
		text("path", &path, &d.Path, false, checkPath)
	}
	if create && in.Type == nil {
		wrong["type"] = "is required"
	}
	if problem := regionless(d.Type, d.Region, d.Endpoint); problem != "" && wrong["region"] == "" {
		wrong["region"] = problem
	}
	if create || in.Credentials != nil {
		in.Credentials.check(d.Type, d.Endpoint, wrong)
	}
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	if in.Credentials == nil {
		return nil
	}
	d.Sealed, d.Masked = map[string][]byte{}, map[string]string{}
	for field, secret := range in.Credentials {
		sealed, err := s.Secrets.Seal(d.Org, d.Id, field, secret.Reveal())
		if err != nil {
			return err
		}
		d.Sealed[field] = sealed
		if masked := catalog.Mask(field, secret.Reveal()); masked != "" {
			d.Masked[field] = masked
		}
	}
	return nil
}

func (s *Server) fillType(d *pb.Destination, given string, create bool, wrong fieldErrors) {
	typ := s.typeOf(given)
	switch {
	case typ == "":
		wrong["type"] = "must be one of " + strings.Join(s.Types, ", ")
	case !create && typ != d.Type:
		wrong["type"] = "cannot be changed; create another destination"
	default:
		d.Type = typ
	}
}

// typeOf is the type that is meant, in any case of letters; empty when this node cannot
// open it.
func (s *Server) typeOf(given string) string {
	i := slices.IndexFunc(s.Types, func(t string) bool { return strings.EqualFold(t, given) })
	if i < 0 {
		return ""
	}
	return s.Types[i]
}

func (s *Server) checkEndpoint(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	err := s.Endpoints.Check(endpoint)
	if known, ok := errors.AsType[*provider.Error](err); ok {
		return known.Reason
	}
	if err != nil {
		return "cannot be checked"
	}
	return ""
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
		return "must have 3 to 63 lower-case letters, digits, hyphens, underscores and dots, and begin and end with a letter or digit"
	}
	return ""
}

func checkRegion(region string) string {
	if region != "" && (len(region) > maxRegion || !regionName.MatchString(region)) {
		return "must have letters, digits and hyphens only"
	}
	return ""
}

// regionless says what is wrong where the region is part of a bucket's name.
func regionless(typ, region, endpoint string) string {
	if typ == catalog.TypeSpaces && region == "" && endpoint == "" {
		return "is required: the region of a Space, such as nyc3"
	}
	return ""
}

// usualRegion is where a provider makes a bucket that is to lie nowhere in particular.
func usualRegion(typ string) string {
	if typ == catalog.TypeGCS || typ == catalog.TypeFirebase {
		return "US"
	}
	return "us-east-1" // Spaces name theirs
}

// checkPath looks at a path without slashes at its ends.
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
