package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	apiclient "firescan/api/client"
	"firescan/bench/bucketserver"
	"firescan/provider/providertest/versitygw"
)

// computed is a destination on a bucket of computed keys, with the expected results.
type computed struct {
	*process
	id     string
	bucket *bucketserver.Server
	want   *bucketserver.Expected
}

// serveKeys serves a bucket of n keys, adds it as a destination of a new organization,
// since the records of all such buckets have the same ids, and imports the matching
// records.
func (p *process) serveKeys(t *testing.T, n uint64, o bucketserver.Options) *computed {
	t.Helper()
	p = p.as(t, fmt.Sprintf("org-%d", orgs.Add(1)))
	keys, err := bucketserver.NewKeys(bucketserver.Tree, n)
	if err != nil {
		t.Fatal(err)
	}
	o.Keys, o.Bucket = keys, "backups"
	c := &computed{process: p, bucket: bucketserver.New(o)}
	endpoint, err := c.bucket.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.bucket.Close() })
	c.id = p.connect(t, o.Bucket, endpoint, "AKIATEST", "secret")
	records := bucketserver.Catalog{Orphans: 0.1, Missing: 0.02, StorageID: c.id}
	if c.want, err = keys.Expect(records); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if err := keys.WriteRecords(&lines, records); err != nil {
		t.Fatal(err)
	}
	response, err := p.service.stream(t.Context(), http.MethodPost, "/api/v1/catalog/import", "application/x-ndjson", &lines)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Close()
	return c
}

var orgs atomic.Uint64

// restart starts the node again.
func (c *computed) restart(t *testing.T, flags ...string) {
	t.Helper()
	c.process = serve(t, c.dir, flags...).as(t, c.org)
}

// trySync syncs a destination, successfully or not.
func (p *process) trySync(t *testing.T, id string) syncRecord {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var started startedSyncs
	if err := p.owner.call(ctx, http.MethodPost, syncPath(id), nil, &started); err != nil {
		t.Fatal(err)
	}
	ended, err := p.owner.waitForSyncs(ctx, started.SyncIDs)
	if err != nil || len(ended) != 1 {
		t.Fatalf("sync: %+v, %v", ended, err)
	}
	return ended[0]
}

// fails checks that a sync fails with a reason and promotes nothing.
func (p *process) fails(t *testing.T, id, why string) {
	t.Helper()
	s := p.trySync(t, id)
	if s.Status != "failed" || !strings.Contains(s.Error, why) {
		t.Errorf("the sync ended as %s with %q, want failed with %q", s.Status, s.Error, why)
	}
	if files, last := p.list(t, id, url.Values{}); len(files) > 0 || !last.Meta.LastSyncAt.IsZero() || !last.Meta.NeedsSync {
		t.Errorf("a failed first sync left %d files, %+v", len(files), last.Meta)
	}
}

// verify checks the record of a sync, if not nil, and every file that the node lists.
func (c *computed) verify(t *testing.T, s *syncRecord) {
	t.Helper()
	orphans := c.want.OrphanTotal()
	if s != nil && (s.Status != "completed" || uint64(s.FilesScanned) != c.want.Digest.Files ||
		uint64(s.OrphanFiles) != orphans.Files || uint64(s.MissingBackups) != c.want.Missing) {
		t.Errorf("the sync ended as %+v, want %d files, %d orphans, %d missing", *s, c.want.Digest.Files, orphans.Files, c.want.Missing)
	}
	var got bucketserver.Digest
	var orphaned uint64
	files, _ := c.list(t, c.id, url.Values{})
	for _, f := range files {
		size, err := strconv.ParseInt(f.Size, 10, 64)
		if err != nil || f.LastModified.IsZero() {
			t.Fatalf("file %+v: %v", f, err)
		}
		got.Add([]byte(f.Path), size, f.LastModified.Unix(), nil)
		if f.IsOrphan {
			orphaned++
		}
	}
	// The API does not list ETags, so their digest is not compared.
	want := c.want.Digest
	want.TagSum, got.TagSum = 0, 0
	if got != want || orphaned != orphans.Files {
		t.Errorf("the files listed are %+v with %d orphans, want %+v with %d", got, orphaned, want, orphans.Files)
	}
}

// A switchable fault can be turned off.
type switchable struct {
	off   atomic.Bool
	fault bucketserver.FaultFunc
}

func (s *switchable) decide(r bucketserver.ListRequest) bucketserver.Fault {
	if s.off.Load() {
		return bucketserver.None
	}
	return s.fault(r)
}

// TestUnsortedServer syncs a bucket of which a part is listed out of order: it is listed by
// one stream, completely.
func TestUnsortedServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	p := serve(t, t.TempDir(), "--scan-streams", "4")
	const files = 3000
	keys, err := bucketserver.NewKeys(bucketserver.Tree, files)
	if err != nil {
		t.Fatal(err)
	}
	from := string(keys.AppendKey(nil, files*9/10))
	c := p.serveKeys(t, files, bucketserver.Options{PageSize: 100, Fault: func(r bucketserver.ListRequest) bucketserver.Fault {
		if r.From >= from && r.MaxKeys != 1 {
			return bucketserver.Unsorted
		}
		return bucketserver.None
	}})
	s := c.trySync(t, c.id)
	c.verify(t, &s)
}

// TestPermanentFaults syncs buckets of which one part cannot be listed: the sync must not
// succeed with the rest. Once the fault is gone, a new sync succeeds.
func TestPermanentFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	// Few streams: after throttling the rate is low for a while, and each idle stream uses a
	// share of it.
	p := serve(t, t.TempDir(), "--scan-streams", "4")
	for fault, why := range map[bucketserver.Fault]string{
		bucketserver.Truncated: "corrupt", bucketserver.Empty: "corrupt", bucketserver.NoToken: "corrupt",
		bucketserver.Repeated:    "corrupt",
		bucketserver.ServerError: "unavailable", bucketserver.Reset: "unavailable", bucketserver.SlowDown: "throttled",
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			const files, page = 3000, 100
			keys, err := bucketserver.NewKeys(bucketserver.Tree, files)
			if err != nil {
				t.Fatal(err)
			}
			// No page after this key can be listed; the first 90 % of the bucket can.
			from := string(keys.AppendKey(nil, files*9/10))
			broken := &switchable{fault: func(r bucketserver.ListRequest) bucketserver.Fault {
				if r.From >= from && r.MaxKeys != 1 {
					return fault
				}
				return bucketserver.None
			}}
			c := p.serveKeys(t, files, bucketserver.Options{PageSize: page, Fault: broken.decide})
			c.fails(t, c.id, why)
			if c.bucket.Counts().Faults < 6 {
				t.Errorf("the page was requested %d times, want retries", c.bucket.Counts().Faults)
			}
			broken.off.Store(true)
			s := c.trySync(t, c.id)
			c.verify(t, &s)
		})
	}
}

// TestTransientFaults syncs a bucket where each page fails twice, each time differently:
// the sync must succeed.
func TestTransientFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	// TestThrottlingStorm covers throttling, which slows down all calls.
	kinds := []bucketserver.Fault{
		bucketserver.Truncated, bucketserver.Empty, bucketserver.NoToken, bucketserver.Repeated, bucketserver.Unsorted,
		bucketserver.ServerError, bucketserver.Reset,
	}
	var mu sync.Mutex
	asked, turn := map[string]int{}, 0
	p := serve(t, t.TempDir())
	c := p.serveKeys(t, 10_000, bucketserver.Options{PageSize: 500, Fault: func(r bucketserver.ListRequest) bucketserver.Fault {
		mu.Lock()
		defer mu.Unlock()
		asked[r.From]++
		if asked[r.From] > 2 {
			return bucketserver.None
		}
		turn++
		return kinds[turn%len(kinds)]
	}})
	s := c.trySync(t, c.id)
	c.verify(t, &s)
	if faults := c.bucket.Counts().Faults; faults < 20 {
		t.Errorf("only %d faults occurred", faults)
	}
}

// TestThrottlingStorm scans, with many streams, a bucket that serves few requests a
// second.
func TestThrottlingStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	p := serve(t, t.TempDir(), "--scan-streams", "16")
	// So few a second that also a busy machine sends more.
	c := p.serveKeys(t, 2000, bucketserver.Options{PageSize: 100, Rate: 10})
	s := c.trySync(t, c.id)
	c.verify(t, &s)
	n := c.bucket.Counts()
	if n.Throttled == 0 {
		t.Error("no request was throttled: the test is void")
	}
	// Without backoff far more requests would be refused than served.
	if served := n.Requests - n.Throttled; n.Throttled > 2*served {
		t.Errorf("%d requests were served and %d refused: the node does not slow down", served, n.Throttled)
	}
}

// TestWrongSettings syncs destinations with wrong settings, at a server that checks
// signatures, and after their correction.
func TestWrongSettings(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	endpoint, access, secret := versitygw.Start(t)
	s := newStore(t, endpoint, access, secret)
	s.put(t, map[string]int{"a.backup": 1, "b.backup": 2})
	p := serve(t, t.TempDir())

	for _, c := range []struct{ name, bucket, access, secret, verify, why string }{
		{"unknown key", s.bucket, "nobody", secret, "INVALID_CREDENTIALS", "credentials"},
		{"wrong secret", s.bucket, access, "wrong", "INVALID_CREDENTIALS", "credentials"},
		{"missing bucket", "nowhere", access, secret, "BUCKET_NOT_FOUND", "bucket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := p.connect(t, c.bucket, endpoint, c.access, c.secret)
			if err := p.owner.call(t.Context(), http.MethodPost, destinationPath(id, "/verify"), nil, nil); !isCode(err, apiclient.Code(c.verify)) {
				t.Errorf("verify: %v, want %s", err, c.verify)
			}
			p.fails(t, id, c.why)
			// After the correction nothing of the old settings is in use.
			if err := p.owner.call(t.Context(), http.MethodPut, destinationPath(id, ""), map[string]any{
				"bucket": s.bucket, "credentials": map[string]string{"accessKeyId": access, "secretAccessKey": secret},
			}, nil); err != nil {
				t.Fatal(err)
			}
			if done := p.sync(t, id); done.FilesScanned != 2 {
				t.Errorf("the sync after the correction: %+v", done)
			}
		})
	}
	var made apiclient.Destination
	for _, refused := range []string{"http://10.1.2.3:9000", "http://169.254.169.254", "http://localhost:1"} {
		err := p.owner.call(t.Context(), http.MethodPost, "/api/v1/storage/destinations", map[string]any{
			"name": "refused", "type": "S3", "bucket": "b", "region": "us-east-1", "endpoint": refused,
			"credentials": map[string]string{"accessKeyId": access, "secretAccessKey": secret},
		}, &made)
		if !isCode(err, "VALIDATION_ERROR") || !strings.Contains(err.Error(), "endpoint ") {
			t.Errorf("endpoint %s: %v, want VALIDATION_ERROR with details.fields.endpoint", refused, err)
		}
	}
	p.end(t, syscall.SIGTERM)
	if strings.Contains(p.log.String(), secret) {
		t.Error("the log contains a secret key")
	}
}

// TestEndpointNoLongerAllowed restarts a node with narrower rules: they apply to existing
// destinations, too, whose index is still served.
func TestEndpointNoLongerAllowed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	p := serve(t, t.TempDir())
	c := p.serveKeys(t, 1000, bucketserver.Options{})
	c.sync(t, c.id)
	c.end(t, syscall.SIGTERM)
	before := c.bucket.Counts().Requests
	c.restart(t, "--allow-endpoint", "10.9.0.0/16")
	if s := c.trySync(t, c.id); s.Status != "failed" || !strings.Contains(s.Error, "forbidden") {
		t.Errorf("the sync ended as %s with %q, want failed with forbidden", s.Status, s.Error)
	}
	if n := c.bucket.Counts().Requests - before; n != 0 {
		t.Errorf("%d requests were sent to a forbidden endpoint", n)
	}
	c.verify(t, nil)
}

func projectName(i int) string { return fmt.Sprintf("proj_%05d", i) }

// putProject stores a record.
func (p *process) putProject(t *testing.T, i int) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return p.service.call(ctx, http.MethodPut, "/api/v1/catalog/projects/"+projectName(i),
		map[string]string{"id": projectName(i), "name": strings.Repeat("n", 200)}, nil)
}

// TestForcedSyncFails asks for the outcome of a sync that cannot succeed: the response is
// its failure, not an empty list.
func TestForcedSyncFails(t *testing.T) {
	p := serve(t, t.TempDir())
	id := p.connect(t, "some-bucket", "http://127.0.0.1:1", "AKIAEXAMPLE", "secret")
	for _, path := range []string{"/files?force=true", "/files/stats?force=true"} {
		err := p.owner.call(t.Context(), http.MethodGet, destinationPath(id, path), nil, nil)
		if err == nil || !strings.Contains(err.Error(), "PROVIDER_ERROR") || !strings.Contains(err.Error(), "connection was refused") {
			t.Errorf("%s ends with %v, want PROVIDER_ERROR with its reason", path, err)
		}
	}
	var s apiclient.StorageStats
	if err := p.owner.call(t.Context(), http.MethodGet, "/api/v1/storage/stats", nil, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Destinations) != 1 || !s.Destinations[0].LastSyncAt.IsZero() || s.Destinations[0].LastSyncError.Message == "" {
		t.Errorf("stats are %+v, want a destination that was never synced and a failure", s)
	}
}
