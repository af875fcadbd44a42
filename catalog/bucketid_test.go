package catalog

import (
	"testing"

	pb "firescan/catalog/catalogpb"
)

func TestBucketID(t *testing.T) {
	same := [][2]*pb.Destination{
		{{Type: TypeGCS}, {Type: TypeFirebase}},
		{{Type: TypeGCS, Region: "us"}, {Type: TypeFirebase, Region: "eu", Path: "p"}},
		{{Type: TypeS3, Region: "us-east-1"}, {Type: TypeS3, Region: "eu-west-1"}},
		{{Type: TypeS3}, {Type: TypeS3, Endpoint: "https://s3.eu-west-1.amazonaws.com/"}},
		{{Type: TypeS3, Endpoint: "http://minio:9000"}, {Type: TypeS3, Endpoint: "HTTPS://MinIO:9000/"}},
		{{Type: TypeS3, Endpoint: "https://minio"}, {Type: TypeS3, Endpoint: "https://minio:443"}},
		{{Type: TypeSpaces, Region: "nyc3"}, {Type: TypeS3, Endpoint: "https://nyc3.digitaloceanspaces.com"}},
		{{Type: TypeSpaces, Region: "nyc3"}, {Type: TypeSpaces, Region: "NYC3", Endpoint: "nyc3.digitaloceanspaces.com"}},
		{{Type: TypeS3, Endpoint: "https://storage.googleapis.com"}, {Type: TypeGCS}},
		{{Type: TypeS3, Endpoint: "https://backups.s3.eu-west-1.amazonaws.com/"}, {Type: TypeS3}},
		{{Type: TypeS3, Endpoint: "https://s3.dualstack.eu-west-1.amazonaws.com:0443/backups"}, {Type: TypeS3}},
		{{Type: TypeS3, Endpoint: "https://commondatastorage.googleapis.com"}, {Type: TypeGCS}},
		{{Type: TypeGCS, Endpoint: "https://www.googleapis.com/storage/v1/"}, {Type: TypeFirebase}},
		{{Type: TypeS3, Endpoint: "https://backups.storage.googleapis.com"}, {Type: TypeGCS}},
		{{Type: TypeS3, Endpoint: "https://b.NYC3.cdn.digitaloceanspaces.com."}, {Type: TypeSpaces, Region: "nyc3"}},
		{{Type: TypeGCS, Endpoint: "http://fake:4443"}, {Type: TypeFirebase, Endpoint: "http://fake:4443"}},
	}
	for _, pair := range same {
		pair[0].Bucket, pair[1].Bucket = "b", "b"
		if a, b := BucketID(pair[0]), BucketID(pair[1]); a != b {
			t.Errorf("%v is %q, %v is %q, and they are one bucket", pair[0], a, pair[1], b)
		}
	}
	different := []*pb.Destination{
		{Type: TypeS3, Bucket: "b"},
		{Type: TypeS3, Bucket: "c"},
		{Type: TypeS3, Bucket: "b", Endpoint: "http://minio:9000"},
		{Type: TypeS3, Bucket: "b", Endpoint: "http://minio:9001"},
		{Type: TypeS3, Bucket: "b", Endpoint: "http://notamazonaws.com"},
		{Type: TypeGCS, Bucket: "b"},
		{Type: TypeGCS, Bucket: "b", Endpoint: "http://minio:9000"},
		{Type: TypeSpaces, Bucket: "b", Region: "nyc3"},
		{Type: TypeSpaces, Bucket: "b", Region: "ams3"},
		{Type: TypeSpaces, Bucket: "b", Region: "a/b"},
		{Type: TypeSpaces, Bucket: "b/b", Region: "a"},
	}
	seen := map[string]*pb.Destination{}
	for _, d := range different {
		if other := seen[BucketID(d)]; other != nil {
			t.Errorf("%v and %v are both %q", other, d, BucketID(d))
		}
		seen[BucketID(d)] = d
	}
}

func TestKeySpace(t *testing.T) {
	for path, want := range map[string][2]string{"": {"", ""}, "a/b": {"a/b/", "a/b0"}, "/a/": {"a/", "a0"}, "ü": {"ü/", "ü0"}} {
		start, end := KeySpace(&pb.Destination{Path: path})
		if string(start) != want[0] || string(end) != want[1] || (path == "") != (start == nil && end == nil) {
			t.Errorf("the key space of %q is [%q, %q), want %q", path, start, end, want)
		}
	}
}
