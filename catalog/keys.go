package catalog

import (
	"net/url"
	"strings"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
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

// KeySpace is the half-open range [start, end) of object keys that belong to a
// destination: those under its path, or all of the bucket. A nil end is no bound.
func KeySpace(d *pb.Destination) (start, end []byte) {
	path := strings.Trim(d.GetPath(), "/")
	if path == "" {
		return nil, nil
	}
	start = []byte(path + "/")
	return start, keyspace.PrefixEnd(start)
}
