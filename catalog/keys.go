package catalog

import (
	"bytes"
	"net/url"
	"strings"

	pb "firescan/catalog/catalogpb"
)

// Destination types, as they are stored and shown.
const (
	TypeS3       = "S3"
	TypeGCS      = "gcs"
	TypeSpaces   = "do-spaces"
	TypeFirebase = "firebase-storage"
)

// BucketID names the bucket of a destination as the world knows it, so that
// destinations which share a bucket share its links. gcs and firebase-storage
// are one namespace; S3 names are global per endpoint; Spaces are per region.
//
// It would be dangerous to tell apart what is one bucket (the files of one
// destination would be orphans to the other) and is harmless to confuse two, so
// the vendors' own endpoints count as the vendor, and neither scheme nor
// default port matters.
func BucketID(d *pb.Destination) string {
	host := endpointHost(d.GetEndpoint())
	space, where := "s3", host
	switch {
	case host == "" && d.GetType() == TypeSpaces:
		space, where = "do-spaces", strings.ToLower(d.GetRegion())
	case host == "" && (d.GetType() == TypeGCS || d.GetType() == TypeFirebase),
		isOf(host, "storage.googleapis.com"):
		space, where = "gcs", ""
	case d.GetType() == TypeGCS || d.GetType() == TypeFirebase:
		space = "gcs"
	case isOf(host, "digitaloceanspaces.com"):
		region := strings.TrimSuffix(strings.TrimSuffix(host, "digitaloceanspaces.com"), ".")
		space, where = "do-spaces", region[strings.LastIndexByte(region, '.')+1:]
	case isOf(host, "amazonaws.com"), isOf(host, "amazonaws.com.cn"):
		where = ""
	}
	return space + "/" + url.PathEscape(where) + "/" + d.GetBucket()
}

// isOf reports whether host is the domain or lies in it.
func isOf(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// endpointHost is the host of an endpoint, lower case, with its port unless
// that is the default of http or https. Empty without an endpoint.
func endpointHost(endpoint string) string {
	host := strings.ToLower(strings.TrimSpace(endpoint))
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	host, _, _ = strings.Cut(host, "/")
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
	return strings.TrimSuffix(host, ".")
}

// Stem is the part of an object key up to the first '.' of its last path
// segment, or all of it: files that belong together share it. The result
// aliases key. Mind that stems of ascending keys need not ascend: "a-b.x" comes
// before "a.x".
func Stem(key []byte) []byte {
	name := bytes.LastIndexByte(key, '/') + 1
	if dot := bytes.IndexByte(key[name:], '.'); dot >= 0 {
		return key[:name+dot]
	}
	return key
}

// KeySpace is the half-open range [start, end) of object keys that belong to a
// destination: those under its path, or all of the bucket. A nil end is no bound.
func KeySpace(d *pb.Destination) (start, end []byte) {
	path := strings.Trim(d.GetPath(), "/")
	if path == "" {
		return nil, nil
	}
	start = []byte(path + "/")
	return start, PrefixEnd(start)
}

// PrefixEnd is the least key that is greater than every key with the prefix;
// nil when there is none, because the prefix is empty or all 0xff.
func PrefixEnd(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] != 0xff {
			end := bytes.Clone(prefix[:n])
			end[n-1]++
			return end
		}
	}
	return nil
}
