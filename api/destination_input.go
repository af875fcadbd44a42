package api

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"firescan/catalog"
	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// destinationInput is the body that creates or updates a destination; a nil field was
// not given.
type destinationInput struct {
	Name        *string     `json:"name"`
	Type        *string     `json:"type"`
	Bucket      *string     `json:"bucket"`
	Path        *string     `json:"path"`
	Region      *string     `json:"region"`
	Endpoint    *string     `json:"endpoint"`
	StemRule    *string     `json:"stemRule"`
	Credentials credentials `json:"credentials"`
	readOnlyFields
}

// readOnlyFields are fields of a destination that are set by the server. A client may send
// them back as it got them.
type readOnlyFields struct {
	ID        *string `json:"id"`
	Verified  *bool   `json:"verified"`
	CreatedAt *stamp  `json:"createdAt"`
	UpdatedAt *stamp  `json:"updatedAt"`
}

// check collects errors for fields that differ from those of d.
func (f readOnlyFields) check(d *pb.Destination, create bool, wrong fieldErrors) {
	for name, differs := range map[string]bool{
		"id":        f.ID != nil && (create || *f.ID != d.Id),
		"verified":  f.Verified != nil && (create || *f.Verified != d.Verified),
		"createdAt": f.CreatedAt != nil && (create || int64(*f.CreatedAt) != d.CreatedAt),
		"updatedAt": f.UpdatedAt != nil && (create || int64(*f.UpdatedAt) != d.UpdatedAt),
	} {
		switch {
		case differs && create:
			wrong[name] = "is read-only"
		case differs:
			wrong[name] = "is read-only and has another value now: read the storage destination again, or leave the field out"
		}
	}
}

// fill copies the given fields into d, and refuses invalid ones, and those that need another
// role. It encrypts credentials: no command has them in plain text.
func (h *destinations) fill(d *pb.Destination, in *destinationInput, create bool, role catalog.Role) error {
	wrong, before := fieldErrors{}, proto.CloneOf(d)
	in.readOnlyFields.check(d, create, wrong)
	if in.Type != nil {
		h.fillType(d, *in.Type, create, wrong)
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
	in.canonicalize(d)
	text("endpoint", in.Endpoint, &d.Endpoint, false, h.settings.checkEndpoint)
	if in.Path != nil {
		path := strings.Trim(*in.Path, "/")
		text("path", &path, &d.Path, false, checkPath)
	}
	if in.StemRule != nil {
		rule, err := keyspace.ParseStemRule(*in.StemRule)
		if err != nil {
			wrong["stemRule"] = fmt.Sprintf("must be %s or %s", keyspace.FirstDot, keyspace.KnownSuffix)
		}
		d.StemRule = pb.StemRule(rule)
	}
	if create && in.Type == nil {
		wrong["type"] = "is required"
	}
	if problem := regionless(d.Type, d.Region, d.Endpoint); problem != "" && wrong["region"] == "" {
		wrong["region"] = problem
	}
	given := in.Credentials.changes(d, wrong)
	given.check(d.Type, d.Endpoint, d.Sealed, wrong)
	given.checkKeyFile(d.Org, wrong)
	if len(wrong) > 0 {
		return invalid(wrong)
	}
	if hasSecret(before.Sealed) && moved(before, d) && !given.prove() && !Remove.Allows(role) {
		return &Error{Code: CodeDenied, Message: "Only admins and owners can change where a storage destination points to without its credentials; send the credentials in the same request"}
	}
	return h.seal(d, given)
}

// canonicalize brings the given endpoint into the spelling that is stored: that of d, if it
// is the same one, so that no other spelling counts as a change.
func (in *destinationInput) canonicalize(d *pb.Destination) {
	if in.Endpoint == nil {
		return
	}
	given, err := catalog.CanonicalEndpoint(*in.Endpoint)
	if err != nil {
		return // it is refused
	}
	if stored, err := catalog.CanonicalEndpoint(d.Endpoint); err == nil && stored == given {
		given = d.Endpoint
	}
	in.Endpoint = &given
}

// moved reports whether two states of a destination point to different places. Credentials
// stay with the place that they were given for.
func moved(before, after *pb.Destination) bool {
	return before.Type != after.Type || before.Bucket != after.Bucket || before.Path != after.Path ||
		before.Region != after.Region || before.Endpoint != after.Endpoint
}

func (h *destinations) fillType(d *pb.Destination, given string, create bool, wrong fieldErrors) {
	typ := h.settings.typeOf(given)
	switch {
	case typ == "":
		wrong["type"] = "must be one of " + strings.Join(h.settings.types, ", ")
	case !create && typ != d.Type:
		wrong["type"] = "cannot be changed; create another destination"
	default:
		d.Type = typ
	}
}
