package api

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
)

// destinationInput is the body that creates or updates a destination; what is nil
// was not given.
type destinationInput struct {
	Name        *string                   `json:"name"`
	Type        *string                   `json:"type"`
	Bucket      *string                   `json:"bucket"`
	Path        *string                   `json:"path"`
	Region      *string                   `json:"region"`
	Endpoint    *string                   `json:"endpoint"`
	Credentials map[string]catalog.Secret `json:"credentials"`
}

const (
	maxName   = 200
	maxPath   = 512
	maxRegion = 64
	maxSecret = 16 << 10
)

// bucketName is what S3 allows, which is also what its clones and Google allow at
// the least.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$`)

var regionName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// types are all types of destinations, as they are stored and shown.
var types = []string{catalog.TypeS3, catalog.TypeGCS, catalog.TypeSpaces, catalog.TypeFirebase}

// credentialFields are the credentials that each type needs.
var credentialFields = map[string][]string{
	catalog.TypeS3: {"accessKeyId", "secretAccessKey"},
}

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
	text("bucket", in.Bucket, &d.Bucket, true, checkBucket)
	text("region", in.Region, &d.Region, false, checkRegion)
	text("endpoint", in.Endpoint, &d.Endpoint, false, func(e string) string {
		if e == "" {
			return ""
		}
		if err := s.Endpoints.Check(e); err != nil {
			return toError(err).reason()
		}
		return ""
	})
	if in.Path != nil {
		path := strings.Trim(*in.Path, "/")
		text("path", &path, &d.Path, false, checkPath)
	}
	if create && in.Type == nil {
		wrong["type"] = "is required"
	}
	if create || in.Credentials != nil {
		checkCredentials(d.Type, in.Credentials, wrong)
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
	i := slices.IndexFunc(types, func(t string) bool { return strings.EqualFold(t, given) })
	switch {
	case i < 0 || !slices.Contains(s.Types, types[i]):
		wrong["type"] = "must be one of " + strings.Join(s.Types, ", ")
	case !create && types[i] != d.Type:
		wrong["type"] = "cannot be changed; create another destination"
	default:
		d.Type = types[i]
	}
}

func checkName(name string) string {
	if strings.TrimSpace(name) == "" || len(name) > maxName || !printable(name) {
		return "must have 1 to 200 printable characters"
	}
	return ""
}

func checkBucket(bucket string) string {
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

func checkCredentials(typ string, given map[string]catalog.Secret, wrong fieldErrors) {
	fields, ok := credentialFields[typ]
	if !ok {
		return // the type is wrong, and was said to be
	}
	for _, f := range fields {
		value := given[f].Reveal()
		switch {
		case value == "":
			wrong["credentials."+f] = "is required"
		case len(value) > maxSecret || !printable(value):
			wrong["credentials."+f] = "is not valid"
		}
	}
	for f := range given {
		if !slices.Contains(fields, f) {
			wrong["credentials."+f] = "is not a credential of " + typ
		}
	}
}
