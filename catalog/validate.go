package catalog

import (
	"strings"
	"unicode/utf8"

	pb "firescan/catalog/catalogpb"
)

const (
	// maxKey is the longest object key that S3, GCS and Spaces allow, in bytes.
	maxKey = 1024
	// maxID bounds ids, of which keys hold several.
	maxID = 256
)

func checkID(what, id string) error {
	if id == "" {
		return refuse(CodeInvalid, "%s is empty", what)
	}
	return checkText(what, id, maxID)
}

// checkText refuses text that cannot be a part of a key.
func checkText(what, s string, longest int) error {
	switch {
	case len(s) > longest:
		return refuse(CodeInvalid, "%s has %d bytes, at most %d are allowed", what, len(s), longest)
	case !utf8.ValidString(s):
		return refuse(CodeInvalid, "%s is not valid UTF-8", what)
	case strings.Contains(s, "\x00"):
		return refuse(CodeInvalid, "%s contains a NUL byte", what)
	}
	return nil
}

func checkKey(what string, key []byte) error {
	if len(key) > maxKey {
		return refuse(CodeInvalid, "%s has %d bytes, an object key has at most %d", what, len(key), maxKey)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkDestination(d *pb.Destination) error {
	switch d.GetType() {
	case TypeS3, TypeGCS, TypeSpaces, TypeFirebase:
	default:
		return refuse(CodeInvalid, "type %q is none of %s, %s, %s, %s", d.GetType(), TypeS3, TypeGCS, TypeSpaces, TypeFirebase)
	}
	if _, known := pb.StemRule_name[int32(d.GetStemRule())]; !known {
		return refuse(CodeInvalid, "stem rule %d is unknown", d.GetStemRule())
	}
	if strings.Trim(d.GetPath(), "/") != d.GetPath() {
		return refuse(CodeInvalid, "path %q begins or ends with a slash", d.GetPath())
	}
	return firstError(
		checkID("org", d.GetOrg()), checkID("id", d.GetId()), checkID("bucket", d.GetBucket()),
		checkText("path", d.GetPath(), maxKey-1), checkText("region", d.GetRegion(), maxID), checkText("endpoint", d.GetEndpoint(), maxKey),
	)
}

func checkBackup(b *pb.Backup) error {
	if b.GetSize() < 0 {
		return refuse(CodeInvalid, "size %d is negative", b.GetSize())
	}
	for _, f := range b.GetFiles() {
		if len(f) == 0 {
			return refuse(CodeInvalid, "files holds an empty path")
		}
		if err := checkKey("one of files", f); err != nil {
			return err
		}
	}
	return checkKey("storagePath", b.GetStoragePath())
}

func checkPitr(p *pb.Pitr) error {
	if len(p.GetPrefix()) == 0 {
		// It would link every file of the bucket, for ever.
		return refuse(CodeInvalid, "prefix is empty")
	}
	for _, ref := range p.GetReferences() {
		if len(ref.GetKey()) == 0 {
			return refuse(CodeInvalid, "one of the references is empty")
		}
	}
	return checkKey("prefix", p.GetPrefix())
}

func checkToken(t *pb.Token) error {
	if len(t.GetHash()) != len(HashToken("")) {
		return refuse(CodeInvalid, "the hash of a token has %d bytes", len(t.GetHash()))
	}
	if !Role(t.GetRole()).Valid() {
		return refuse(CodeInvalid, "role %q is none of %v", t.GetRole(), Roles())
	}
	if (t.GetOrg() != "") != Role(t.GetRole()).OfOrganization() {
		return refuse(CodeInvalid, "a token belongs to an organization, unless its role is %s or %s", RoleMetrics, RoleRoot)
	}
	if t.GetExpiresAt() < 0 {
		return refuse(CodeInvalid, "a token expires at %d", t.GetExpiresAt())
	}
	return firstError(checkID("id", t.GetId()), checkText("org", t.GetOrg(), maxID))
}

// clip shortens a location for a message.
func clip(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
