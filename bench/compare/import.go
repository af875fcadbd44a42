package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"firescan/bench/bucketserver"
)

// importStats is the measurement of an import.
type importStats struct {
	records uint64
	wall    time.Duration
	cpu     time.Duration
	peak    uint64
}

// importRecords imports the catalog that matches the bucket. The records are generated
// before the measurement starts.
func (n *node) importRecords(ctx context.Context, keys *bucketserver.Keys, c bucketserver.Catalog, records uint64) (importStats, error) {
	path := filepath.Join(n.dir, "records.ndjson")
	f, err := os.Create(path)
	if err != nil {
		return importStats{}, err
	}
	defer func() { _ = f.Close() }()
	if err := keys.WriteRecords(f, c); err != nil {
		return importStats{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return importStats{}, err
	}
	m, err := n.meter()
	if err != nil {
		return importStats{}, err
	}
	start := time.Now()
	var response map[string]any
	if err := n.service.stream(ctx, "/api/v1/catalog/import", "application/x-ndjson", f, &response); err != nil {
		return importStats{}, err
	}
	wall := time.Since(start)
	u, err := m.read()
	if err != nil {
		return importStats{}, err
	}
	// No line may have been rejected.
	for name, value := range response {
		if bad, ok := value.([]any); ok && len(bad) > 0 {
			return importStats{}, fmt.Errorf("import: rejected lines: %s: %v", name, bad[0])
		}
	}
	return importStats{records, wall, u.cpu(), u.maxRSS}, nil
}

// importScenario measures an import of many records into an empty catalog.
func (b *bench) importScenario(ctx context.Context) error {
	if !b.wants("firescan") {
		return nil
	}
	// About one key in three is a backup.
	keys, err := bucketserver.NewKeys(bucketserver.Flat, b.config.records*3)
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
	// The destination is never listed, so it needs no bucket.
	dest, err := n.createDestination(ctx, "http://127.0.0.1:9")
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
		return fmt.Errorf("wrong result: %d backups after the import, want %d", got.BackupsCount, want.Backups)
	}
	b.report.add("import", "Import of backup records", table{
		head: []string{"records", "wall", "records/s", "node CPU", "peak RSS"},
		rows: [][]string{{
			thousands(imp.records), round(imp.wall).String(), thousands(uint64(float64(imp.records) / imp.wall.Seconds())),
			round(imp.cpu).String(), mib(imp.peak),
		}},
	}, "POST /api/v1/catalog/import, NDJSON of "+strconv.FormatUint(imp.records, 10)+" lines scattered over the key space, into an empty catalog.")
	return b.report.write(b.config.out)
}
