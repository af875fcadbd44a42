package main

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firescan/bench/bucketserver"
)

// mount mounts a small file system on dir, for a test to fill.
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700")
	if errors.Is(err, syscall.EPERM) {
		t.Skip("needs the permission to mount a file system: run as root")
	}
	if err != nil {
		t.Fatalf("mount a file system on %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// resize changes the size of a file system that mount mounted.
func resize(t *testing.T, dir, size string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
		t.Fatalf("resize %s: %v", dir, err)
	}
}

// TestFullIndexDisk fills the file system of the index during a sync: that sync fails
// with the reason, everything else is still served, and with free space the sync
// succeeds.
func TestFullIndexDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	data := filepath.Join(t.TempDir(), "data")
	index := filepath.Join(data, "index")
	mount(t, index, "1m")
	p := serve(t, data)
	small := p.serveKeys(t, 1000, bucketserver.Options{})
	s := small.trySync(t, small.id)
	small.verify(t, &s)

	large := p.serveKeys(t, 60_000, bucketserver.Options{})
	large.fails(t, large.id, "disk is full")
	small.verify(t, nil)
	resize(t, index, "64m")
	s = large.trySync(t, large.id)
	large.verify(t, &s)
	small.verify(t, nil)
	// The failed sync leaves no files.
	manifest, err := os.ReadFile(filepath.Join(index, large.id, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(index, large.id))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		id, segment := strings.CutSuffix(f.Name(), ".seg")
		if f.Name() != "manifest.json" && !(segment && strings.Contains(string(manifest), id)) {
			t.Errorf("%s belongs to no generation", f.Name())
		}
	}
}

// TestFullDataDisk fills the file system of the data directory. Reads continue, writes
// fail in bounded time with a retryable error, and with free space they succeed: no
// acknowledged write is lost.
func TestFullDataDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	data := filepath.Join(t.TempDir(), "data")
	mount(t, data, "400m") // the log preallocates files of 64 MiB
	p := serve(t, data)
	c := p.serveKeys(t, 2000, bucketserver.Options{})
	s := c.trySync(t, c.id)
	c.verify(t, &s)

	filler := filepath.Join(data, "filler")
	fill(t, filler)
	// The catalog has some free pages, so that the first writes succeed.
	accepted, refused := 0, error(nil)
	for refused == nil && accepted < 5000 {
		if refused = p.putProject(t, accepted); refused == nil {
			accepted++
		}
	}
	t.Logf("%d writes were accepted, then: %v", accepted, refused)
	if !isCode(refused, "NO_LEADER") {
		t.Errorf("a write on a full disk: %v, want 503 NO_LEADER", refused)
	}
	c.verify(t, nil)

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	await(t, "writes are accepted again", func() bool { return p.putProject(t, accepted) == nil })
	for i := range accepted + 1 {
		if err := p.service.call(t.Context(), http.MethodGet, projectPath(i), nil, nil); err != nil {
			t.Fatalf("project %d, which was stored: %v", i, err)
		}
	}
	s = c.trySync(t, c.id)
	c.verify(t, &s)

	c.end(t, syscall.SIGTERM)
	c.restart(t)
	c.verify(t, nil)
}

// fill writes a file until its file system is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func projectPath(i int) string {
	return "/api/v1/catalog/projects/" + url.PathEscape(projectName(i))
}
