package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"firescan/bench/bucketserver"
)

// bigScene scans a large bucket, then asks the node that has it.
func (b *bench) bigScene(ctx context.Context) error {
	if !b.wants("firescan") {
		return nil
	}
	bk, err := b.newBucket(ctx, bucketserver.Flat, b.bigKeys, 0)
	if err != nil {
		return err
	}
	defer bk.server.daemon.stop()
	n, err := b.startNode(ctx)
	if err != nil {
		return err
	}
	defer n.stop()
	dest, err := n.connect(ctx, bk.server.endpoint)
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
	b.report.add("big scan", thousands(b.bigKeys)+" keys, flat layout, 0s a page: memory and index", scanTable(rows),
		fmt.Sprintf("Index: %.1f bytes a file. %s backup records in the catalog, imported in %v with a peak RSS of %s.",
			float64(size)/float64(bk.want.Digest.Files), thousands(bk.want.Backups), round(imp.wall), mib(imp.peak)))

	queries, err := b.queries(ctx, n, bk, dest)
	if err != nil {
		return err
	}
	var asked []queryRow
	for _, q := range queries {
		r, err := b.ask(ctx, n, q)
		if err != nil {
			return fmt.Errorf("query %s: %w", q.name, err)
		}
		asked = append(asked, r)
	}
	b.report.add("queries", fmt.Sprintf("Queries at %s files, %d a second, open loop", thousands(b.bigKeys), b.rate), queryTable(asked),
		"Times count from when a request was due, client included, on the same two cores.")
	return b.report.write(b.out)
}

// queries are the list with each filter, from places all over the bucket where the
// filter allows it, and the statistics.
func (b *bench) queries(ctx context.Context, n *node, bk *bucket, dest string) ([]query, error) {
	files := "/api/v1/storage/destinations/" + dest + "/files"
	fixed := func(name, args string) query {
		return query{name, func(int) string { return files + "?limit=100&" + args }}
	}
	// Places spread by the golden ratio, so that no two requests hit the same block.
	prefix := func(i int) string {
		key := bk.keys.AppendKey(nil, uint64(float64(i)*0.6180339887*float64(b.bigKeys))%b.bigKeys)
		return url.QueryEscape(string(key[:len("backups/production/bkp_")+4]))
	}
	scattered := func(name, args string) query {
		return query{name, func(i int) string { return files + "?limit=100&prefix=" + prefix(i) + args }}
	}
	cursors, err := n.cursors(ctx, files, prefix)
	if err != nil {
		return nil, err
	}
	all := []query{
		fixed("no filter", ""),
		scattered("prefix", ""),
		{"cursor", func(i int) string { return files + "?limit=100&cursor=" + cursors[i%len(cursors)] }},
		fixed("orphansOnly", "orphansOnly=true"),
		scattered("prefix and orphansOnly", "&orphansOnly=true"),
	}
	for _, t := range bucketserver.Types() {
		all = append(all, fixed("type="+t.String(), "type="+t.String()))
	}
	return append(
		all,
		fixed("type=auth and orphansOnly", "type=auth&orphansOnly=true"),
		fixed("minAge=720h", "minAge=720h"),
		scattered("prefix, type=meta, minAge=8760h", "&type=meta&minAge=8760h"),
		query{"files/stats", func(int) string { return files + "/stats" }},
		query{"storage/stats", func(int) string { return "/api/v1/storage/stats" }},
	), nil
}

// cursors collects cursors from all over the bucket.
func (n *node) cursors(ctx context.Context, files string, prefix func(int) string) ([]string, error) {
	header := http.Header{"Authorization": {"Bearer " + n.owner.token}, "X-Organization-Id": {org}}
	var cursors []string
	for i := range 50 {
		var answer struct{ Meta struct{ NextCursor string } }
		if err := getJSON(ctx, n.url+files+"?limit=5&prefix="+prefix(i), header, &answer); err != nil {
			return nil, err
		}
		if answer.Meta.NextCursor != "" {
			cursors = append(cursors, url.QueryEscape(answer.Meta.NextCursor))
		}
	}
	if len(cursors) == 0 {
		return nil, fmt.Errorf("no answer of %s has a cursor to go on with", files)
	}
	return cursors, nil
}

// importScene measures an import of many records into an empty catalog.
func (b *bench) importScene(ctx context.Context) error {
	if !b.wants("firescan") {
		return nil
	}
	// As many keys as it takes for that many records.
	keys, err := bucketserver.NewKeys(bucketserver.Flat, b.records*3)
	if err != nil {
		return err
	}
	want, err := keys.Expect(catalog("", 0))
	if err != nil {
		return err
	}
	n, err := b.startNode(ctx)
	if err != nil {
		return err
	}
	defer n.stop()
	// No bucket is needed: the destination is never listed.
	dest, err := n.connect(ctx, "http://127.0.0.1:9")
	if err != nil {
		return err
	}
	b.log.Info("importing", "records", want.Records())
	imp, err := n.importRecords(ctx, keys, catalog(dest, 0), want.Records())
	if err != nil {
		return err
	}
	var got struct{ BackupsCount uint64 }
	if err := n.owner.call(ctx, http.MethodGet, "/api/v1/storage/destinations/"+dest+"/linked", nil, &got); err != nil {
		return err
	}
	if got.BackupsCount != want.Backups {
		return fmt.Errorf("wrong answer: %d backups after the import, right is %d", got.BackupsCount, want.Backups)
	}
	b.report.add("import", "Import of backup records", table{
		head: []string{"records", "wall", "records/s", "node CPU", "peak RSS"},
		rows: [][]string{{
			thousands(imp.records), round(imp.wall).String(), thousands(uint64(float64(imp.records) / imp.wall.Seconds())),
			round(imp.cpu).String(), mib(imp.peak),
		}},
	}, "POST /api/v1/catalog/import, NDJSON of "+strconv.FormatUint(imp.records, 10)+" lines scattered over the key space, into an empty catalog.")
	return b.report.write(b.out)
}
