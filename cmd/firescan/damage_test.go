package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firescan/bench/bucketserver"
)

// TestFlippedBytes alters a promoted segment while the node is down: the shard is never
// served, and the bucket is scanned again.
func TestFlippedBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	data := filepath.Join(t.TempDir(), "data")
	p := serve(t, data)
	c := p.serveKeys(t, 20_000, bucketserver.Options{})
	s := c.trySync(t, c.id)
	c.verify(t, &s)
	c.end(t, syscall.SIGTERM)

	segment := largest(t, filepath.Join(data, "index", c.id, "*.seg"))
	flip(t, segment)
	before := c.bucket.Counts().Keys
	c.restart(t)
	// Until the scan ends, requests may fail, but never return wrong data.
	await(t, "the bucket is scanned again", func() bool {
		raw, err := c.owner.raw(t.Context(), http.MethodGet, destinationPath(c.id, "/files?")+url.Values{"limit": {"1"}}.Encode(), nil)
		if err != nil && !isCode(err, "INDEX_UNAVAILABLE") {
			t.Fatalf("files of a damaged shard: %v", err)
		}
		return err == nil && len(raw) > 0
	})
	c.verify(t, nil)
	if again := c.bucket.Counts().Keys - before; again < c.want.Digest.Files {
		t.Errorf("%d files were listed again, want all %d", again, c.want.Digest.Files)
	}
	if _, err := os.Stat(segment); err == nil {
		t.Errorf("the damaged segment %s is still in use", segment)
	}
	// The history has the earlier sync and the repairing one.
	var syncs struct{ Syncs []syncRecord }
	if err := c.owner.call(t.Context(), http.MethodGet, "/api/v1/storage/syncs?destinationId="+c.id, nil, &syncs); err != nil {
		t.Fatal(err)
	}
	if len(syncs.Syncs) != 2 || syncs.Syncs[0].Status != "completed" {
		t.Errorf("the history is %+v, want the first sync and the one that repaired", syncs.Syncs)
	}
	c.end(t, syscall.SIGTERM)
	if !strings.Contains(c.log.String(), "damaged") {
		t.Error("the log does not report the damage")
	}
}

// largest returns the largest file that matches a pattern.
func largest(t *testing.T, pattern string) (name string) {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var most int64
	for _, one := range all {
		info, err := os.Stat(one)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most {
			name, most = one, info.Size()
		}
	}
	if name == "" {
		t.Fatalf("no file matches %s", pattern)
	}
	return name
}

// flip inverts some bytes in the middle of a file.
func flip(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 2; i < len(data)/2+16; i++ {
		data[i] ^= 0xff
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
