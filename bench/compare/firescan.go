package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"firescan/bench/bucketserver"
)

const org = "org_bench"

// node is a running firescan with a data directory of its own.
type node struct {
	daemon *daemon
	dir    string
	url    string
	// owner reads and syncs, service writes the catalog feed.
	owner, service *api
}

// startNode starts firescan serve on a fresh data directory, waits until it is ready
// and makes the tokens.
func (b *bench) startNode(ctx context.Context) (_ *node, err error) {
	dir, err := os.MkdirTemp(b.cache, "node-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	n := &node{dir: dir, url: "http://" + ports[0]}
	const rootToken = "fsk_bench0000000000000000000000000000000000000000"
	args := []string{
		b.firescan, "serve", "--node-id", "bench", "--data-dir", filepath.Join(dir, "data"), "--http-addr", ports[0],
		"--cluster-addr", ports[1], "--gossip-addr", ports[2], "--allow-endpoint", "127.0.0.1:*", "--log-format", "json",
	}
	n.daemon, err = startDaemon(append(args, strings.Fields(b.serve)...), []string{"FIRESCAN_ROOT_TOKEN=" + rootToken}, filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	if err := n.ready(ctx); err != nil {
		return nil, err
	}
	for role, to := range map[string]**api{"owner": &n.owner, "service": &n.service} {
		token, err := b.createToken(ctx, n.url, rootToken, role)
		if err != nil {
			return nil, err
		}
		*to = &api{base: n.url, token: token, org: org}
	}
	return n, nil
}

func (b *bench) createToken(ctx context.Context, url, rootToken, role string) (string, error) {
	c := exec.CommandContext(ctx, b.firescan, "token", "create", "--org", org, "--role", role, "--name", "bench")
	c.Env = append(os.Environ(), "FIRESCAN_ADDR="+url, "FIRESCAN_TOKEN="+rootToken)
	out, err := c.Output()
	if err != nil {
		said := ""
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			said = tail(string(exit.Stderr))
		}
		return "", fmt.Errorf("firescan token create --role %s: %w: %s", role, err, said)
	}
	return strings.TrimSpace(string(out)), nil
}

func freePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = ln.Close() }()
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

func (n *node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := getJSON(ctx, n.url+"/readyz", nil, nil)
		if err == nil {
			return nil
		}
		if died := n.daemon.failed(); died != nil {
			return died
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("firescan is not ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the node and removes what it stored.
func (n *node) stop() {
	n.daemon.stop()
	_ = os.RemoveAll(n.dir)
}

// connect makes the destination that the bucket's records name.
func (n *node) connect(ctx context.Context, endpoint string) (id string, err error) {
	var answer struct{ ID string }
	err = n.owner.call(ctx, http.MethodPost, "/api/v1/storage/destinations", map[string]any{
		"name": "Bench", "type": "S3", "bucket": bucketName, "region": "us-east-1", "endpoint": endpoint,
		"credentials": map[string]string{"accessKeyId": accessKey, "secretAccessKey": secretKey},
	}, &answer)
	return answer.ID, err
}

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

// syncState is an entry of GET /api/v1/storage/syncs.
type syncState struct {
	ID, Status, Error     string
	StartedAt, FinishedAt string
	FilesScanned          flexible
	OrphanFiles           flexible
	MissingBackups        flexible
}

// took is the time from start to promotion, as the node tells it.
func (s syncState) took() (time.Duration, error) {
	from, err := time.Parse(time.RFC3339Nano, s.StartedAt)
	if err != nil {
		return 0, err
	}
	to, err := time.Parse(time.RFC3339Nano, s.FinishedAt)
	return to.Sub(from), err
}

// sync starts a sync and waits for its end. Beside what the node tells, it answers
// how long it took as seen from here.
func (n *node) sync(ctx context.Context, dest string) (syncState, time.Duration, error) {
	last, err := n.lastSync(ctx, dest)
	if err != nil {
		return syncState{}, 0, err
	}
	start := time.Now()
	if err := n.owner.call(ctx, http.MethodPost, "/api/v1/storage/sync?destinationId="+url.QueryEscape(dest), nil, nil); err != nil {
		return syncState{}, 0, err
	}
	for {
		s, err := n.lastSync(ctx, dest)
		if err != nil {
			return syncState{}, 0, err
		}
		if s.ID != last.ID && s.Status != "queued" && s.Status != "running" {
			if s.Status != "completed" {
				err = fmt.Errorf("sync %s %s: %s", s.ID, s.Status, s.Error)
			}
			return s, time.Since(start), err
		}
		if err := n.daemon.failed(); err != nil {
			return syncState{}, 0, err
		}
		select {
		case <-ctx.Done():
			return syncState{}, 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (n *node) lastSync(ctx context.Context, dest string) (syncState, error) {
	var answer struct{ Syncs []syncState }
	err := n.owner.call(ctx, http.MethodGet, "/api/v1/storage/syncs?limit=1&destinationId="+url.QueryEscape(dest), nil, &answer)
	if err != nil || len(answer.Syncs) == 0 {
		return syncState{}, err
	}
	return answer.Syncs[0], nil
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
	s, seen, err := n.sync(ctx, dest)
	if err != nil {
		return row{}, err
	}
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
		if err := n.checkFiles(ctx, dest, bk.want); err != nil {
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
