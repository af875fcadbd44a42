package gcs

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"firescan/provider"
)

// bucketName is what buckets are called. It is not for us to know Google's rules better
// than Google, but a name must be one segment of an address, and no dots that lead
// elsewhere. https://cloud.google.com/storage/docs/buckets#naming
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// usable refuses what could not be a bucket's name.
func (b *bucket) usable(op string) error {
	if bucketName.MatchString(b.name) && !strings.Contains(b.name, "..") {
		return nil
	}
	return &provider.Error{Kind: provider.Invalid, Op: op, Bucket: b.name, Reason: "the bucket name is not valid"}
}

// holds refuses what could not be the name of an object in the bucket. An object "." or
// "" would be the bucket's list of objects, and ".." the bucket, to whoever tidies
// addresses on the way. https://cloud.google.com/storage/docs/objects#naming
func (b *bucket) holds(op, key string) error {
	if err := b.usable(op); err != nil {
		return err
	}
	var why string
	switch {
	case key == "" || key == "." || key == "..":
		why = "an object cannot be called nothing, . or .."
	case len(key) > maxKey:
		why = "the name of an object has at most 1,024 bytes"
	case !utf8.ValidString(key):
		why = "the name of an object is UTF-8"
	case strings.ContainsAny(key, "\r\n"):
		why = "the name of an object has no line breaks"
	default:
		return nil
	}
	return &provider.Error{Kind: provider.Invalid, Op: op, Bucket: b.name, Reason: why}
}
