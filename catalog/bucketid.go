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
// vendor, hosts have one spelling (see canonicalHost), and neither scheme nor default port
// matters.
func BucketID(d *pb.Destination) string {
	host := canonicalHost(d.GetEndpoint())
	isGoogle := d.GetType() == TypeGCS || d.GetType() == TypeFirebase
	switch {
	case host != "":
		return customID(isGoogle, host, d.GetBucket())
	case isGoogle:
		return bucketID("gcs", "", d.GetBucket())
	case d.GetType() == TypeSpaces:
		return bucketID("do-spaces", strings.ToLower(d.GetRegion()), d.GetBucket())
	}
	return bucketID("s3", "", d.GetBucket())
}

// customID returns the identity of a bucket at an endpoint that a user has given.
func customID(isGoogle bool, host, bucket string) string {
	switch {
	case isOf(host, "googleapis.com"), isOf(host, "storage.cloud.google.com"):
		return bucketID("gcs", "", bucket)
	case isGoogle:
		return bucketID("gcs", host, bucket)
	case isOf(host, "digitaloceanspaces.com"):
		region := strings.TrimSuffix(strings.TrimSuffix(host, "digitaloceanspaces.com"), ".")
		region = strings.TrimSuffix(region, ".cdn")
		return bucketID("do-spaces", region[strings.LastIndexByte(region, '.')+1:], bucket)
	case isOf(host, "amazonaws.com"), isOf(host, "amazonaws.com.cn"), isOf(host, "api.aws"):
		return bucketID("s3", "", bucket)
	}
	return bucketID("s3", host, bucket)
}

func bucketID(space, where, bucket string) string {
	return space + "/" + url.PathEscape(where) + "/" + bucket
}

// canonicalID returns the identity that BucketID gives to a bucket whose identity was made
// by an older version, or by this one.
func canonicalID(id string) string {
	space, where, bucket := cutBucketID(id)
	host, err := url.PathUnescape(where)
	if host == "" || err != nil || space == "do-spaces" {
		return id
	}
	return customID(space == "gcs", canonicalHost(host), bucket)
}

// cutBucketID splits a bucket identity; where is escaped.
func cutBucketID(id string) (space, where, bucket string) {
	space, rest, _ := strings.Cut(id, "/")
	where, bucket, _ = strings.Cut(rest, "/")
	return space, where, bucket
}

// isOf reports whether host is domain or a subdomain of it.
func isOf(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
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
