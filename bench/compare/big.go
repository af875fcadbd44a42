package main

import (
	"context"
	"fmt"

	"firescan/bench/bucketserver"
)

// bigScenario scans a large bucket, then measures queries.
func (b *bench) bigScenario(ctx context.Context) error {
	if !b.wants("firescan") {
		return nil
	}
	bk, err := b.newBucket(ctx, bucketserver.Flat, b.config.bigKeys, 0)
	if err != nil {
		return err
	}
	defer bk.server.daemon.stop()
	n, err := b.startNode(ctx)
	if err != nil {
		return err
	}
	defer n.stop()
	dest, err := n.createDestination(ctx, bk.server.endpoint)
	if err != nil {
		return err
	}
	b.log.Info("importing", "records", bk.want.Records())
	imp, err := n.importRecords(ctx, bk.keys, catalog(dest, bk.keys.Len()), bk.want.Records())
	if err != nil {
		return err
	}
	var rows []row
	for _, who := range []string{"**firescan, first scan**", "**firescan, second scan**"} {
		r, err := b.scan(ctx, n, bk, dest, who)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	size, err := indexSize(n.dir)
	if err != nil {
		return err
	}
	b.report.add("big scan", thousands(b.config.bigKeys)+" keys, flat layout, 0s per page: memory and index", scanTable(rows),
		fmt.Sprintf("Index: %.1f bytes per file. %s backup records in the catalog, imported in %v with a peak RSS of %s.",
			float64(size)/float64(bk.want.Digest.Files), thousands(bk.want.Backups), round(imp.wall), mib(imp.peak)))

	queries, err := b.queries(ctx, n, bk, dest)
	if err != nil {
		return err
	}
	var measured []queryRow
	for _, q := range queries {
		r, err := b.measureQuery(ctx, n, q)
		if err != nil {
			return fmt.Errorf("query %s: %w", q.name, err)
		}
		measured = append(measured, r)
	}
	b.report.add("queries", fmt.Sprintf("Queries at %s files, %d per second, open loop", thousands(b.config.bigKeys), b.config.rate), queryTable(measured),
		"Times are measured from when a request was due and include the client, on the same two cores.")
	return b.report.write(b.config.out)
}
