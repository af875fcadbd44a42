package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"firescan/bench/bucketserver"
)

// imported is how long an import took.
type imported struct {
	records uint64
	wall    time.Duration
	cpu     time.Duration
	peak    uint64
}

// importRecords streams the catalog that matches the bucket. The records are made
// beforehand, so that making them is not measured.
func (n *node) importRecords(ctx context.Context, keys *bucketserver.Keys, c bucketserver.Catalog, records uint64) (imported, error) {
	path := filepath.Join(n.dir, "records.ndjson")
	f, err := os.Create(path)
	if err != nil {
		return imported{}, err
	}
	defer func() { _ = f.Close() }()
	if err := keys.WriteRecords(f, c); err != nil {
		return imported{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return imported{}, err
	}
	m, err := n.meter()
	if err != nil {
		return imported{}, err
	}
	start := time.Now()
	var answer map[string]any
	if err := n.service.stream(ctx, "/api/v1/catalog/import", "application/x-ndjson", f, &answer); err != nil {
		return imported{}, err
	}
	wall := time.Since(start)
	u, err := m.read()
	if err != nil {
		return imported{}, err
	}
	// Whatever the answer calls its counts, no line may have been refused.
	for name, value := range answer {
		if bad, ok := value.([]any); ok && len(bad) > 0 {
			return imported{}, fmt.Errorf("import refused lines: %s: %v", name, bad[0])
		}
	}
	return imported{records, wall, u.cpu(), u.maxRSS}, nil
}

// meter reads what the node takes from now on.
type meter struct {
	pid       int
	user, sys time.Duration
}

func (n *node) meter() (*meter, error) {
	m := &meter{pid: n.daemon.pid()}
	var err error
	if m.user, m.sys, err = cpuOf(m.pid); err != nil {
		return nil, err
	}
	return m, resetPeak(m.pid)
}

func (m *meter) read() (u usage, err error) {
	if u.user, u.sys, err = cpuOf(m.pid); err != nil {
		return usage{}, err
	}
	u.user -= m.user
	u.sys -= m.sys
	u.maxRSS, err = peakOf(m.pid)
	return u, err
}

// syncState is what GET /api/v1/storage/syncs/ID answers.
type syncState struct {
	ID, Status, Error     string
	StartedAt, FinishedAt string
	FilesScanned          flexible
	OrphanFiles           flexible
	MissingBackups        flexible
}

// times are when the sync started and when it was promoted, as the node tells it.
func (s syncState) times() (started, finished time.Time, err error) {
	if started, err = time.Parse(time.RFC3339Nano, s.StartedAt); err != nil {
		return started, finished, err
	}
	finished, err = time.Parse(time.RFC3339Nano, s.FinishedAt)
	return started, finished, err
}

// took is the time from start to promotion.
func (s syncState) took() (time.Duration, error) {
	started, finished, err := s.times()
	return finished.Sub(started), err
}

// begin starts a sync and answers its id.
func (n *node) begin(ctx context.Context, dest string) (id string, err error) {
	var answer struct{ SyncIDs []string }
	if err := n.owner.call(ctx, http.MethodPost, "/api/v1/storage/sync?destinationId="+url.QueryEscape(dest), nil, &answer); err != nil {
		return "", err
	}
	if len(answer.SyncIDs) != 1 {
		return "", fmt.Errorf("a sync of one destination has the ids %q", answer.SyncIDs)
	}
	return answer.SyncIDs[0], nil
}

// finish waits for the end of a sync. It asks for what this node knows of it, which is told
// also while there is no leader.
func (n *node) finish(ctx context.Context, id string) (s syncState, err error) {
	for {
		s = syncState{}
		if err := n.owner.call(ctx, http.MethodGet, "/api/v1/storage/syncs/"+id+"?consistency=stale", nil, &s); err != nil {
			return s, err
		}
		if s.Status != "queued" && s.Status != "running" {
			if s.Status != "completed" {
				err = fmt.Errorf("sync %s %s: %s", s.ID, s.Status, s.Error)
			}
			return s, err
		}
		if err := n.daemon.failed(); err != nil {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("wait for sync %s, which is %s: %w", id, s.Status, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// scan measures one sync, and holds its outcome against the right answer.
func (b *bench) scan(ctx context.Context, n *node, bk *bucket, dest, who string) (row, error) {
	b.log.Info("scanning", "with", who)
	before, err := bk.server.tally(ctx)
	if err != nil {
		return row{}, err
	}
	m, err := n.meter()
	if err != nil {
		return row{}, err
	}
	start := time.Now()
	id, err := n.begin(ctx, dest)
	if err != nil {
		return row{}, err
	}
	s, err := n.finish(ctx, id)
	if err != nil {
		return row{}, err
	}
	seen := time.Since(start)
	u, err := m.read()
	if err != nil {
		return row{}, err
	}
	after, err := bk.server.tally(ctx)
	if err != nil {
		return row{}, err
	}
	if u.wall, err = s.took(); err != nil {
		return row{}, err
	}
	if u.wall > seen || !strings.Contains(s.FinishedAt, ".") {
		u.wall = seen // whole seconds are too coarse for what is measured
	}
	if err := checkSync(s, bk.want); err != nil {
		return row{}, err
	}
	t := after.since(before)
	return row{
		who: who, usage: u, keys: bk.want.Digest.Files, requests: t.requests, server: t.cpu,
		command: "POST /api/v1/storage/sync; startedAt to finishedAt; /proc/PID/stat, VmHWM",
	}, n.checkStats(ctx, dest, bk.want)
}

// scanTwice measures a first and a second scan of a fresh node that has the records.
func (b *bench) scanTwice(ctx context.Context, bk *bucket) ([]row, []string, error) {
	n, err := b.startNode(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer n.stop()
	dest, err := n.connect(ctx, bk.server.endpoint)
	if err != nil {
		return nil, nil, err
	}
	imp, err := n.importRecords(ctx, bk.keys, catalog(dest, bk.keys.Len()), bk.want.Records())
	if err != nil {
		return nil, nil, err
	}
	var rows []row
	for _, who := range []string{"**firescan, first scan**", "**firescan, second scan**"} {
		r, err := b.scan(ctx, n, bk, dest, who)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, r)
	}
	size, err := indexSize(n.dir)
	if err != nil {
		return nil, nil, err
	}
	notes := []string{
		fmt.Sprintf("firescan links the files to %s backup records that were imported before (in %v), and answers %s orphans and %s missing backups: as expected.",
			thousands(bk.want.Backups), round(imp.wall), thousands(bk.want.OrphanTotal().Files), thousands(bk.want.Missing)),
		fmt.Sprintf("Its index takes %.1f bytes a file.", float64(size)/float64(bk.want.Digest.Files)),
	}
	if b.check {
		if _, err := n.checkFiles(ctx, dest, bk.want); err != nil {
			return nil, nil, err
		}
		notes = append(notes, "All files were read back after the scans: path, size and time of each are right.")
	}
	return rows, notes, nil
}

// indexSize is the size of all segments of the node.
func indexSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".seg" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		return nil
	})
	if err == nil && size == 0 {
		err = errors.New("no segment file in the data directory")
	}
	return size, err
}

// flexible is a number that an answer may give as a number or as a string.
type flexible uint64

// UnmarshalJSON implements json.Unmarshaler.
func (f *flexible) UnmarshalJSON(b []byte) error {
	_, err := fmt.Sscan(string(bytes.Trim(b, `"`)), (*uint64)(f))
	return err
}
