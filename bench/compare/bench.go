package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"time"

	"firescan/bench/bucketserver"
)

// bench is one run of the command.
type bench struct {
	config *config
	log    *slog.Logger
	report *report
	self   string // path of this program
	server string // path of the bucket server
}

func newBench(c *config) *bench {
	return &bench{config: c, log: slog.New(slog.NewTextHandler(os.Stderr, nil)), report: new(report)}
}

func (b *bench) wants(who string) bool {
	return len(b.config.only) == 0 || slices.Contains(b.config.only, who)
}

// bucket is a synthetic bucket with its server and its expected scan result.
type bucket struct {
	keys   *bucketserver.Keys
	want   *bucketserver.Expected
	server *server
}

func (b *bench) newBucket(ctx context.Context, layout bucketserver.Layout, n uint64, latency time.Duration) (*bucket, error) {
	keys, err := bucketserver.NewKeys(layout, n)
	if err != nil {
		return nil, err
	}
	want, err := keys.Expect(catalog("", n))
	if err != nil {
		return nil, err
	}
	s, err := startServer(ctx, b.server, layout, n, latency)
	if err != nil {
		return nil, err
	}
	return &bucket{keys: keys, want: want, server: s}, nil
}

// Shares of the catalog that every scenario uses.
const (
	orphanShare  = 0.1
	missingShare = 0.001
)

// maxCatalogKeys is the number of keys up to which the catalog grows with the bucket.
const maxCatalogKeys = 1_000_000

// catalog returns the catalog of a bucket of n keys. Most backups have a record in a
// bucket of up to maxCatalogKeys keys. In larger buckets the number of records stays at
// about a third of a million, and all other files are orphans.
func catalog(storageID string, n uint64) bucketserver.Catalog {
	orphans := orphanShare
	if n > maxCatalogKeys {
		orphans = 1 - (1-orphans)*maxCatalogKeys/float64(n)
	}
	return bucketserver.Catalog{StorageID: storageID, Orphans: orphans, Missing: missingShare}
}
