package provider

import (
	"context"
	"time"

	"firescan/keyspace"
)

// Listed returns the object that a list has under exactly key, or nil.
func Listed(ctx context.Context, b Bucket, key string) (*Info, error) {
	// With a maximum of one, MinIO responds with the object that it serves under the prefix,
	// whatever its name is (listObjectsGeneric in its cmd/erasure-server-pool.go).
	req := ListRequest{Prefix: key, End: keyspace.After(key), MaxKeys: 2}
	var page Page
	if err := b.List(ctx, req, &page); err != nil {
		return nil, err
	}
	if len(page.Objects) == 0 || string(page.Objects[0].Key) != key {
		return nil, nil //nolint:nilnil // it is not listed
	}
	o := &page.Objects[0]
	return &Info{Key: key, Size: o.Size, ModTime: time.UnixMilli(o.ModTime), Tag: string(o.Tag)}, nil
}
