package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// row is one row of a table of scans.
type row struct {
	who      string
	usage    usage
	keys     uint64
	requests uint64
	server   time.Duration // CPU of the bucket server during the scan
	command  string
}

// scan measures one sync and compares its result with the expected one.
func (b *bench) scan(ctx context.Context, n *node, bk *bucket, dest, who string) (row, error) {
	b.log.Info("scanning", "with", who)
	before, err := bk.server.counters(ctx)
	if err != nil {
		return row{}, err
	}
	m, err := n.meter()
	if err != nil {
		return row{}, err
	}
	start := time.Now()
	id, err := n.startSync(ctx, dest)
	if err != nil {
		return row{}, err
	}
	s, err := n.waitSync(ctx, id)
	if err != nil {
		return row{}, err
	}
	seen := time.Since(start)
	u, err := m.read()
	if err != nil {
		return row{}, err
	}
	after, err := bk.server.counters(ctx)
	if err != nil {
		return row{}, err
	}
	if u.wall, err = s.duration(); err != nil {
		return row{}, err
	}
	if u.wall > seen || !strings.Contains(s.FinishedAt, ".") {
		u.wall = seen // times in whole seconds are too coarse
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

// scanTwice measures the first and the second scan of a new node with the backup records.
func (b *bench) scanTwice(ctx context.Context, bk *bucket) ([]row, []string, error) {
	n, err := b.startNode(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer n.stop()
	dest, err := n.createDestination(ctx, bk.server.endpoint)
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
		fmt.Sprintf("firescan linked the files to %s backup records (imported in %v) and reported %s orphans and %s missing backups, as expected.",
			thousands(bk.want.Backups), round(imp.wall), thousands(bk.want.OrphanTotal().Files), thousands(bk.want.Missing)),
		fmt.Sprintf("The index takes %.1f bytes per file.", float64(size)/float64(bk.want.Digest.Files)),
	}
	if b.config.check {
		if _, err := n.checkFiles(ctx, dest, bk.want); err != nil {
			return nil, nil, err
		}
		notes = append(notes, "All files were read after the scans: path, size and time of each are correct.")
	}
	return rows, notes, nil
}

// indexSize returns the total size of all segments of a node.
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
		err = errors.New("index size: no segment file in the data directory")
	}
	return size, err
}

func scanTable(rows []row) table {
	t := table{head: []string{"program", "wall", "keys/s", "CPU user + system", "CPU per key", "peak RSS", "requests", "server CPU"}}
	for _, r := range rows {
		t.rows = append(t.rows, []string{
			r.who, round(r.usage.wall).String(), thousands(uint64(float64(r.keys) / r.usage.wall.Seconds())),
			fmt.Sprintf("%v + %v", round(r.usage.user), round(r.usage.sys)),
			fmt.Sprintf("%.2f µs", float64(r.usage.cpu().Nanoseconds())/1000/float64(r.keys)),
			mib(r.usage.maxRSS), thousands(r.requests), round(r.server).String(),
		})
		if len(t.commands) == 0 || t.commands[len(t.commands)-1] != r.command {
			t.commands = append(t.commands, r.command)
		}
	}
	return t
}
