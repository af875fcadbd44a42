package systemtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firescan/bench/bucketserver"
)

// A world is a bucket of computed keys with a destination, matching records, and the
// expected results.
type world struct {
	*cluster
	owner, service *client
	id             string
	keys           *bucketserver.Keys
	bucket         *bucketserver.Server
	want           *bucketserver.Expected
	endpoint       string
	listing        listing
	deletes        atomic.Int64 // delete requests received
	noBatches      bool         // the bucket supports no batch delete
}

// orgs numbers organizations: the records of all such buckets have the same ids.
var orgs atomic.Uint64

// newWorld serves a bucket, adds a destination and imports the records. 10 % of the files
// are orphans.
func (c *cluster) newWorld(t *testing.T, layout bucketserver.Layout, n uint64, o bucketserver.Options) *world {
	t.Helper()
	return c.newWorldOf(t, layout, n, 0.1, o)
}

func (c *cluster) newWorldOf(t *testing.T, layout bucketserver.Layout, n uint64, orphans float64, o bucketserver.Options) *world {
	t.Helper()
	if o.PageSize == 0 {
		o.PageSize = 1000
	}
	org := fmt.Sprintf("org-%d", orgs.Add(1))
	w := &world{cluster: c, owner: c.as(t, org, "owner"), service: c.as(t, org, "service")}
	var err error
	if w.keys, err = bucketserver.NewKeys(layout, n); err != nil {
		t.Fatal(err)
	}
	o.Keys, o.Bucket = w.keys, "backups-"+org
	o.Fault = func(r bucketserver.ListRequest) bucketserver.Fault { return w.listing.record(w.keys, o.PageSize, r) }
	w.bucket = bucketserver.New(o)
	host := "127.0.0.1"
	if c.network != nil {
		host = c.network.base + "254"
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			batch := r.URL.Query().Has("delete")
			if batch && w.noBatches {
				http.Error(rw, "", http.StatusNotImplemented)
				return
			}
			if batch || r.Method == http.MethodDelete {
				w.deletes.Add(1)
			}
			w.bucket.ServeHTTP(rw, r)
		}),
	}}
	server.Start()
	t.Cleanup(server.Close)
	w.endpoint = server.URL
	w.id = w.connect(t, o.Bucket, w.endpoint)
	records := bucketserver.Catalog{Orphans: orphans, Missing: 0.02, StorageID: w.id}
	if w.want, err = w.keys.Expect(records); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if err := w.keys.WriteRecords(&lines, records); err != nil {
		t.Fatal(err)
	}
	w.feed(t, lines.String())
	return w
}

// importLines is the number of records per import, small because programs with the race
// detector are slow.
const importLines = 4000

// feed imports records in parts, with retries.
func (w *world) feed(t testing.TB, lines string) {
	t.Helper()
	for part := range slices.Chunk(strings.SplitAfter(strings.TrimSpace(lines), "\n"), importLines) {
		var a *response
		await(t, "records are imported", patience, func() (done bool) {
			var err error
			a, err = w.service.do(t.Context(), w.leader(t), request{
				method: http.MethodPost, path: "/api/v1/catalog/import", body: strings.NewReader(strings.Join(part, "")), timeout: patience,
			})
			return !retryable(a, err)
		})
		if !a.ok() {
			t.Fatalf("import: %s", a)
		}
	}
}

// connect creates a destination and returns its id.
func (w *world) connect(t testing.TB, bucket, endpoint string) string {
	t.Helper()
	var made struct{ ID string }
	w.must(t, w.owner, request{
		method: http.MethodPost, path: "/api/v1/storage/destinations", key: "connect-" + bucket,
		body: destinationOf(bucket, bucket, endpoint),
	}, &made)
	return made.ID
}

func destinationOf(name, bucket, endpoint string) map[string]any {
	return map[string]any{
		"name": name, "type": "S3", "bucket": bucket, "region": "us-east-1", "endpoint": endpoint,
		"credentials": map[string]string{"accessKeyId": "AKIATEST", "secretAccessKey": "secret"},
	}
}

func (w *world) path(rest string) string { return "/api/v1/storage/destinations/" + w.id + rest }

// startSync starts a sync and returns its id.
func (w *world) startSync(t testing.TB) string {
	t.Helper()
	var started struct{ SyncIDs []string }
	w.must(t, w.owner, request{
		method: http.MethodPost, path: "/api/v1/storage/sync?destinationId=" + w.id, key: fmt.Sprintf("sync-%d", orgs.Add(1)),
	}, &started)
	if len(started.SyncIDs) != 1 {
		t.Fatalf("started %v", started.SyncIDs)
	}
	return started.SyncIDs[0]
}

// A record is the record of a sync.
type record struct {
	ID, Status                   string
	FilesScanned, OrphanFiles    uint64
	MissingBackups, BytesScanned uint64
	Error                        string
	StartedAt, FinishedAt        time.Time
}

// getSync returns the record of a sync.
func (w *world) getSync(t testing.TB, sync string) (r record) {
	t.Helper()
	w.must(t, w.owner, request{method: http.MethodGet, path: "/api/v1/storage/syncs/" + sync}, &r)
	return r
}

// stuckAfter is the timeout of a sync, more than ten times the duration of any scan here.
const stuckAfter = 3 * time.Minute

// awaitSync waits for the end of a sync and checks its record.
func (w *world) awaitSync(t testing.TB, sync string) (r record) {
	t.Helper()
	await(t, "sync "+sync+" has ended", stuckAfter, func() bool {
		time.Sleep(50 * time.Millisecond)
		r = w.getSync(t, sync)
		return r.Status != "running" && r.Status != "queued"
	})
	if r.Status != "completed" || r.FilesScanned != w.want.Digest.Files || r.BytesScanned != w.want.Digest.Bytes ||
		r.OrphanFiles != w.want.OrphanTotal().Files || r.MissingBackups != w.want.Missing {
		t.Errorf("the sync ended as %+v, want %d files, %d orphans, %d missing",
			r, w.want.Digest.Files, w.want.OrphanTotal().Files, w.want.Missing)
	}
	return r
}

// sync runs a sync.
func (w *world) sync(t testing.TB) record {
	t.Helper()
	return w.awaitSync(t, w.startSync(t))
}

// awaitListed waits until the bucket has listed a share of its keys since before.
func (w *world) awaitListed(t testing.TB, before uint64, share float64) {
	t.Helper()
	at := before + uint64(share*float64(w.keys.Len()))
	await(t, fmt.Sprintf("%.0f %% of the keys are listed", 100*share), patience, func() bool { return w.bucket.Counts().Keys >= at })
}

// A file is a line of an export.
type file struct {
	Path, Size, Type string
	LastModified     time.Time
	IsOrphan         bool
}

// export exports all files of a destination from one node, calls see for each if it is
// not nil, and returns a checksum of the export.
func (w *world) export(ctx context.Context, n *node, see func(*file)) (sum string, err error) {
	return w.exportAs(ctx, w.owner, n, see)
}

func (w *world) exportAs(ctx context.Context, as *client, n *node, see func(*file)) (sum string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	resp, err := as.open(ctx, n, request{method: http.MethodGet, path: w.path("/files/export?format=ndjson")})
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		raw, _ := io.ReadAll(resp.Body)
		return "", fmt.Errorf("export from %s: %s", n.id, raw)
	}
	hash := sha256.New()
	lines := bufio.NewReaderSize(io.TeeReader(resp.Body, hash), 1<<16)
	if see == nil {
		if _, err := io.Copy(io.Discard, lines); err != nil {
			return "", err
		}
		return hex.EncodeToString(hash.Sum(nil)), nil
	}
	for decoder := json.NewDecoder(lines); ; {
		var f file
		switch err := decoder.Decode(&f); {
		case err == io.EOF:
			return hex.EncodeToString(hash.Sum(nil)), nil
		case err != nil:
			return "", err
		}
		see(&f)
	}
}

// exportLocal is export from the node's local replica of the shard.
func (w *world) exportLocal(ctx context.Context, n *node) (sum string, err error) {
	// A forwarded request is not forwarded again.
	as := *w.owner
	as.forwarded = true
	return w.exportAs(ctx, &as, n, nil)
}

// mustExport is export with retries, because the node may forward requests to a node that
// was killed.
func (w *world) mustExport(t testing.TB, n *node, see func(*file)) (sum string) {
	t.Helper()
	var err error
	await(t, "files are exported from "+n.id, patience, func() bool {
		began := false
		once := func(f *file) {
			began = true
			see(f)
		}
		if see == nil {
			once = nil
		}
		sum, err = w.export(t.Context(), n, once)
		return err == nil || began // see must not be called twice for a file
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// verify compares the exports of all nodes with the expected files and links, and returns
// their checksum, which is the same on all nodes and for every later scan.
func (w *world) verify(t testing.TB) (sum string) {
	t.Helper()
	nodes := w.up()
	var got bucketserver.Digest
	linked, orphans := map[string]bucketserver.Totals{}, map[string]bucketserver.Totals{}
	sum = w.mustExport(t, nodes[0], func(f *file) {
		size, err := strconv.ParseInt(f.Size, 10, 64)
		if err != nil {
			t.Fatalf("file %+v: %v", f, err)
		}
		got.Add([]byte(f.Path), size, f.LastModified.Unix(), nil)
		tallies := linked
		if f.IsOrphan {
			tallies = orphans
		}
		tally := tallies[f.Type]
		tally.Files++
		tally.Bytes += uint64(size)
		tallies[f.Type] = tally
	})
	want := w.want.Digest
	want.TagSum, got.TagSum = 0, 0 // ETags are not shown
	if got != want {
		t.Errorf("exported files %+v, want %+v", got, want)
	}
	for i, typ := range bucketserver.Types() {
		if linked[typ.String()] != w.want.Linked[i] || orphans[typ.String()] != w.want.Orphans[i] {
			t.Errorf("%v: linked %+v, orphans %+v, want %+v and %+v",
				typ, linked[typ.String()], orphans[typ.String()], w.want.Linked[i], w.want.Orphans[i])
		}
	}
	for _, n := range nodes[1:] {
		if other := w.mustExport(t, n, nil); other != sum {
			t.Errorf("%s exports other files than %s", n.id, nodes[0].id)
		}
	}
	return sum
}

// verifySum checks that the exports have the checksum of an earlier verify. In the long
// form it checks only two nodes, because exports take long.
func (w *world) verifySum(t testing.TB, want string) {
	t.Helper()
	nodes := w.up()
	if long {
		rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		nodes = nodes[:2]
	}
	for _, n := range nodes {
		if w.mustExport(t, n, nil) != want {
			t.Errorf("%s exports other files than after an undisturbed scan", n.id)
			w.verify(t) // reports the difference
		}
	}
}
