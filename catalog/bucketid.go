package catalog

import (
	"net/url"
	"strings"

	pb "firescan/catalog/catalogpb"
	"firescan/keyspace"
)

// The types of destinations, as they are stored and shown.
const (
	TypeS3       = "S3"
	TypeGCS      = "gcs"
	TypeSpaces   = "do-spaces"
	TypeFirebase = "firebase-storage"
)

// BucketID returns the identity of the bucket of a destination. Destinations that share a
// bucket share its links. gcs and firebase-storage are one namespace; S3 names are global
// per endpoint; Spaces names are per region.
//
// Treating one bucket as two is dangerous: files of one destination would be orphans to
// the other. Treating two as one is harmless. So the vendors' own endpoints count as the
// vendor, and neither scheme nor default port matters.
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

// isOf reports whether host is domain or a subdomain of it.
func isOf(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// endpointHost returns the host of an endpoint in lower case, with its port unless that
// is the default of http or https.
func endpointHost(endpoint string) string {
	host := strings.ToLower(strings.TrimSpace(endpoint))
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	host, _, _ = strings.Cut(host, "/")
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
	return strings.TrimSuffix(host, ".")
}

// KeySpace returns the range [start, end) of object keys that belong to a destination:
// those under its path, or the whole bucket. A nil end is unbounded.
func KeySpace(d *pb.Destination) (start, end []byte) {
	path := strings.Trim(d.GetPath(), "/")
	if path == "" {
		return nil, nil
	}
	start = []byte(path + "/")
	return start, keyspace.PrefixEnd(start)
}
